#!/usr/bin/env python3
"""Kills a rank of a job at a random moment, runs the same command again, and compares with one process: nothing is lost or there
twice. Each time another job, rank and moment.

Usage: kill_ranks.py PATH_OF_SER FOLDER_OF_RECORDINGS [TIMES [SEED]]       (Open MPI; TIMES: 100)
"""
import os, random, shutil, signal, subprocess, sys, tempfile, time

ser, recordings = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
times, seed = int(sys.argv[3]) if len(sys.argv) > 3 else 100, int(sys.argv[4]) if len(sys.argv) > 4 else 1
JOBS = {"predict": ("predict", "-q", "--format", "csv", recordings, "-o"),
        "extract": ("extract", "--data", recordings, "--feature-type", "LOGMEL", "--features-dir")}


def contents(path):
    if not os.path.isdir(path):
        with open(path, "rb") as f:
            return f.read()
    return {os.path.relpath(os.path.join(where, name), path): contents(os.path.join(where, name))
            for where, _, names in os.walk(path) for name in names}


def start(folder, n, args):
    env = dict(os.environ, OMPI_MCA_mpi_yield_when_idle="1", XDG_CACHE_HOME=os.path.join(folder, "cache"))
    return subprocess.Popen(["mpirun", "-n", str(n), "--oversubscribe", "--allow-run-as-root", ser, *args], cwd=folder, env=env,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


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


def main():
    rng, worst = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as folder:
        whole, seconds = {}, {}
        for job, args in JOBS.items():
            began = time.monotonic()
            p = start(folder, 2, (*args, f"{job}-whole", "-j", "1"))
            if p.wait() != 0:
                sys.exit(f"{job} fails by itself")
            seconds[job] = time.monotonic() - began
            whole[job] = contents(os.path.join(folder, f"{job}-whole"))
        n_killed = 0
        for i in range(times):
            job, n = rng.choice(list(JOBS)), rng.randint(2, 4)
            out = os.path.join(folder, "out")
            p = start(folder, n, (*JOBS[job], "out", "-j", "1"))
            time.sleep(rng.uniform(0, seconds[job]))
            pid = rank_pid(p.pid, rng.randrange(n))
            if pid:
                os.kill(pid, signal.SIGKILL)
                began = time.monotonic()
                p.wait()
                worst = max(worst, time.monotonic() - began)
                n_killed += p.returncode != 0
            else:
                p.wait()
            again = start(folder, rng.randint(2, 4), (*JOBS[job], "out", "-j", "1"))
            if again.wait() != 0 or contents(out) != whole[job] or os.path.exists(out + ".journal"):
                sys.exit(f"time {i + 1}: {job} is not what one run makes")
            shutil.rmtree(out) if os.path.isdir(out) else os.remove(out)
        print(f"{times} times, {n_killed} of them a rank was killed at work: the same bytes. The job ended {worst:.1f} s after that at most")


if __name__ == "__main__":
    main()
