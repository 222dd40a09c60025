#!/usr/bin/env python3
"""Kills a rank of a job at a random moment, lets the job go on with another number of ranks, and compares with one process: nothing
is lost or there twice. Each time another job, rank and moment.

Usage: kill_ranks.py PATH_OF_SER CORPUS [TIMES [SEED]]       (Open MPI; CORPUS: a folder with one of recordings for each emotion,
some ten each; TIMES: 100)
"""
import json, os, random, shutil, signal, subprocess, sys, tempfile, time

ser, corpus = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
times, seed = int(sys.argv[3]) if len(sys.argv) > 3 else 100, int(sys.argv[4]) if len(sys.argv) > 4 else 1
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


def main():
    rng, ends, kills = random.Random(seed), [], dict.fromkeys(JOBS, 0)
    with tempfile.TemporaryDirectory() as folder:
        whole, seconds, out, cache = {}, {}, os.path.join(folder, "out"), os.path.join(folder, "cache")
        for job, args in JOBS.items():
            shutil.rmtree(cache, ignore_errors=True)
            began = time.monotonic()
            p = start(folder, 1, (*args, "out"))
            _, err = p.communicate()
            if p.returncode != 0:
                sys.exit(f"{job} fails by itself: {err.decode()}")
            seconds[job] = time.monotonic() - began
            whole[job] = contents(out)
            shutil.rmtree(out) if os.path.isdir(out) else os.remove(out)
        for i in range(times):
            job, n = list(JOBS)[i % len(JOBS)], rng.randint(2, 4)
            shutil.rmtree(cache, ignore_errors=True)  # recordings are computed again
            ended = kill(folder, n, (*JOBS[job], "out"), rng.uniform(0, 1.2 * seconds[job]), rng.randrange(n))
            if ended is not None:
                ends.append(ended)
                kills[job] += 1
            goes_on = os.path.exists(os.path.join(out, "config.json"))
            again = start(folder, rng.randint(2, 4), (JOBS[job][0], "--resume", "out") if goes_on else (*JOBS[job], "out"))
            _, err = again.communicate()
            if again.returncode != 0 or contents(out) != whole[job] or os.path.exists(out + ".journal"):
                sys.exit(f"time {i + 1}, seed {seed}: {job} is not what one run makes: exit status {again.returncode}, {err.decode()}")
            shutil.rmtree(out) if os.path.isdir(out) else os.remove(out)
        told = ", ".join(f"{job} {n}" for job, n in kills.items())
        print(f"{times} times, {len(ends)} of them a rank was killed at work ({told}): the same bytes. "
              f"The job ended {max(ends, default=0):.1f} s after that at most")


if __name__ == "__main__":
    main()
