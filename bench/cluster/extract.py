"""How fast two ranks of one thread extract WHISPER features of RAVDESS, beside one process of two threads: in pairs, one behind the
other, which goes first in every second pair. One run of each goes before all, so that the files are in the memory of both. mpirun's start
and end, and the second reading of the encoder, count.

Usage: extract.py SER DATA_DIR ENCODER [--every N] [--pairs N]; of RAVDESS in DATA_DIR every Nth recording is taken (Open MPI).
"""
import argparse, os, pathlib, resource, shutil, statistics, subprocess, sys, tempfile, time


def timed(args, features):
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*args, "--features-dir", features], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{done.stderr}{' '.join(args)}: exit status {done.returncode}")
    shutil.rmtree(features)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("ser", type=os.path.abspath), a.add_argument("data_dir", type=pathlib.Path), a.add_argument("encoder", type=os.path.abspath)
    a.add_argument("--every", type=int, default=1), a.add_argument("--pairs", type=int, default=3)
    o = a.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        recordings = sorted(p for p in (o.data_dir / "ravdess").rglob("*") if p.is_file())[::o.every]
        for p in recordings:
            copy = pathlib.Path(folder) / "data" / p.relative_to(o.data_dir)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(p, copy)
        extract = [o.ser, "extract", "--data", "RAVDESS", "--data-dir", f"{folder}/data", "--feature-type", "WHISPER", "--encoder", o.encoder, "-j"]
        ranks = ["mpirun", "-n", "2", "--allow-run-as-root", *extract, "1"]
        one, two = (lambda: timed([*extract, "2"], f"{folder}/one")), (lambda: timed(ranks, f"{folder}/two"))
        one(), two()
        for pair in range(o.pairs):
            if pair % 2:
                (two_s, two_cpu), (one_s, one_cpu) = two(), one()
            else:
                (one_s, one_cpu), (two_s, two_cpu) = one(), two()
            ratios.append(one_s / two_s)
            print(f"{len(recordings)} recordings: one process {one_s:.2f} s ({one_cpu:.2f} of processors), two ranks {two_s:.2f} s ({two_cpu:.2f}): "
                  f"{ratios[-1]:.3f} times as fast", flush=True)
    print(f"median: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
