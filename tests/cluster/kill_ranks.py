#!/usr/bin/env python3
"""Kills a rank of a job at a random moment, lets the job go on with another number of ranks, and compares with one process: nothing
is lost or there twice. Each time another job, rank and moment.

Usage: kill_ranks.py SER CORPUS [--kills N] [--seed N] [--log FILE]      (Open MPI; CORPUS: a folder with one of recordings for each
emotion, some ten each; without --kills 100). Each time is a line of FILE, so that it can be stopped, and goes on where it was.
"""
import argparse, json, os, random, shutil, signal, subprocess, sys, tempfile, time

a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
a.add_argument("ser", type=os.path.abspath), a.add_argument("corpus", type=os.path.abspath)
a.add_argument("--kills", type=int, default=100), a.add_argument("--seed", type=int, default=1), a.add_argument("--log", default=os.devnull)
o = a.parse_args()
ser, corpus = o.ser, o.corpus
LEARN = ("--data", corpus, "--feature-type", "LOGMEL", "--inner-folds", "2", "--epoch", "3", "--filter-size", "6", "--dilation-size", "2",
         "--stack-size", "1", "--batch-size", "8")
JOBS = {"predict": ("predict", "-q", "--format", "csv", corpus, "-o"),
        "extract": ("extract", "--data", corpus, "--feature-type", "LOGMEL", "--features-dir"),
        "train": ("train", *LEARN, "--model-type", "linear+timnet", "--networks", "2", "--split-fold", "2", "--run"),
        "train --micro-batch": ("train", *LEARN, "--model-type", "timnet", "--micro-batch", "2", "--split-fold", "0", "--run"),
        "evaluate": ("evaluate", *LEARN, "--model-type", "linear+timnet", "--protocol", "kfold=3", "--run")}


def without_times(x):
    if isinstance(x, dict):
        return {k: without_times(v) for k, v in x.items() if k not in ("seconds", "jobs", "ranks", "run")}
    return [without_times(v) for v in x] if isinstance(x, list) else x


def contents(path):
    """Of a file, of a feature tree; of a run its report and what was learned."""
    if not os.path.isdir(path):
        with open(path, "rb") as f:
            return f.read()
    found = {os.path.relpath(os.path.join(where, name), path): contents(os.path.join(where, name))
             for where, _, names in os.walk(path) for name in names}
    if "report.json" not in found:
        return found
    learned = {name: found[name] for name in found if name.endswith((".safetensors", ".h5"))}
    return dict(learned, report=without_times(json.loads(found["report.json"])), names=sorted(found))


def start(folder, n, args):
    env = dict(os.environ, OMPI_MCA_mpi_yield_when_idle="1", XDG_CACHE_HOME=os.path.join(folder, "cache"))
    return subprocess.Popen(["mpirun", "-n", str(n), "--oversubscribe", "--allow-run-as-root", ser, *args, "-j", "1"], cwd=folder, env=env,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def rank_pid(parent, rank):
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                if int(f.read().rsplit(")", 1)[1].split()[1]) != parent:
                    continue
            with open(f"/proc/{name}/environ", "rb") as f:
                if b"OMPI_COMM_WORLD_RANK=%d" % rank in f.read().split(b"\0"):
                    return int(name)
        except OSError:
            pass


def kill(folder, n, args, after, rank):
    """Seconds from the kill to the end of the job; None: the rank was not there, or had done its work."""
    p = start(folder, n, args)
    time.sleep(after)
    pid = rank_pid(p.pid, rank)
    began = time.monotonic()
    if pid:
        os.kill(pid, signal.SIGKILL)
    p.communicate()
    return time.monotonic() - began if pid and p.returncode else None


def run_whole(folder, out):
    """What each job makes by itself, and how many seconds it takes."""
    whole, seconds = {}, {}
    for job, args in JOBS.items():
        shutil.rmtree(os.path.join(folder, "cache"), ignore_errors=True)
        began = time.monotonic()
        p = start(folder, 1, (*args, "out"))
        _, err = p.communicate()
        if p.returncode != 0:
            sys.exit(f"{job} fails by itself: {err.decode()}")
        seconds[job], whole[job] = time.monotonic() - began, contents(out)
        remove(out)
    return whole, seconds


def remove(out):
    shutil.rmtree(out) if os.path.isdir(out) else os.path.exists(out) and os.remove(out)


def kill_once(folder, out, i, whole, seconds):
    """The i-th time, as it stands in the log; ended_s, from the kill to the end of the job, is None if nothing was killed at work."""
    rng, job = random.Random(f"{o.seed} {i}"), list(JOBS)[i % len(JOBS)]
    n, n_again = rng.randint(2, 4), rng.randint(2, 4)
    shutil.rmtree(os.path.join(folder, "cache"), ignore_errors=True)  # recordings are computed again
    ended = kill(folder, n, (*JOBS[job], "out"), rng.uniform(0, 1.2 * seconds[job]), rng.randrange(n))
    goes_on = os.path.exists(os.path.join(out, "config.json"))
    again = start(folder, n_again, (JOBS[job][0], "--resume", "out") if goes_on else (*JOBS[job], "out"))
    _, err = again.communicate()
    same = again.returncode == 0 and contents(out) == whole[job] and not os.path.exists(out + ".journal")
    remove(out)
    return dict(seed=o.seed, i=i, job=job, ranks=n, ranks_again=n_again, ended_s=ended, same=same, status=again.returncode, error=err.decode())


def go_on(log, times):
    """Until so many of the seed's times had a kill, or one was not the same."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        whole, seconds = run_whole(folder, out)
        while all(t["same"] for t in times) and sum(t["ended_s"] is not None for t in times) < o.kills:
            times.append(kill_once(folder, out, len(times), whole, seconds))
            log.write(json.dumps(times[-1]) + "\n")
            log.flush()


def main():
    with open(o.log, "a+") as log:
        log.seek(0)
        times = [t for t in map(json.loads, log) if t["seed"] == o.seed]
        go_on(log, times)
    if not times[-1]["same"]:
        sys.exit(f"not what one run makes: {times[-1]}")
    kills = [t for t in times if t["ended_s"] is not None]
    told = ", ".join(f"{job} {sum(t['job'] == job for t in kills)}" for job in JOBS)
    print(f"{len(times)} times, {len(kills)} of them a rank was killed at work ({told}): the same bytes. "
          f"The job ended {max(t['ended_s'] for t in kills):.1f} s after that at most")


if __name__ == "__main__":
    main()
