#!/usr/bin/env python3
"""Times two builds of the program side by side, such as a new one and one from before a large change.

  bench/against.py OLD_SER NEW_SER MODEL DATA_DIR [--rounds N] [--kinds KIND,...]

Both hear with the same MODEL. Their runs take turns, so that a machine that grows slower does so for both; quote medians.
DATA_DIR holds emodb/. Kinds: start, folder, file, timeline. Needs nothing but Python, and ffmpeg, which decodes what the
long recordings are made of.
"""
import argparse, os, statistics, subprocess, sys, tempfile, time, wave

from processor import describe

parser = argparse.ArgumentParser()
parser.add_argument("old"), parser.add_argument("new"), parser.add_argument("model"), parser.add_argument("data")
parser.add_argument("--kinds", default="start,folder,file,timeline"), parser.add_argument("--rounds", type=int, default=9)
args = parser.parse_args()
RATE = 16000


def run(program, words):
    """Seconds that pass, and of the processors."""
    start = time.perf_counter()
    p = subprocess.Popen([program, "predict", "--model", args.model, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(p.pid, 0)
    assert status == 0, words
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def compare(name, words, rounds):
    times = {args.old: [], args.new: []}
    for i in range(rounds + 1):
        for program in (args.old, args.new) if i % 2 else (args.new, args.old):
            measured = run(program, words)
            if i:  # the first round fills the caches
                times[program].append(measured)
    old, new = ([statistics.median(column) for column in zip(*times[p])] for p in (args.old, args.new))
    ratios = ["%+.1f %%" % (100 * (b / a - 1)) for a, b in zip(old, new)]
    print("%-34s wall %7.1f -> %7.1f ms, %s; processor %7.1f -> %7.1f ms, %s" % (
        name, 1000 * old[0], 1000 * new[0], ratios[0], 1000 * old[1], 1000 * new[1], ratios[1]), flush=True)


folder = os.path.join(args.data, "emodb")
recordings = sorted(os.path.join(d, f) for d, _, files in os.walk(folder) for f in files if f.endswith((".wav", ".flac")))
print(f"{describe()}; {len(os.sched_getaffinity(0))} cores; medians of {args.rounds} rounds")
kinds = args.kinds.split(",")
with tempfile.TemporaryDirectory() as scratch:
    def joined(seconds):
        """A file of speech as long as that, from one recording after another."""
        path, n = os.path.join(scratch, f"{seconds}.wav"), 0
        with wave.open(path, "wb") as out:
            out.setparams((1, 2, RATE, 0, "NONE", ""))
            while n < seconds * RATE:
                for r in recordings[:: max(1, len(recordings) // 230)]:
                    pcm = subprocess.run(["ffmpeg", "-v", "error", "-i", r, "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-"],
                                         capture_output=True, check=True).stdout
                    pcm = pcm[: 2 * (seconds * RATE - n)]
                    out.writeframesraw(pcm)
                    n += len(pcm) // 2
                    if n >= seconds * RATE:
                        break
        return path

    some = os.path.join(scratch, "some")
    os.mkdir(some)
    for r in recordings[::5]:
        os.symlink(os.path.abspath(r), os.path.join(some, os.path.basename(r)))
    if "start" in kinds:
        compare("one recording, whole process", [recordings[0]], 5 * args.rounds)
    if "folder" in kinds:
        compare(f"folder of {len(os.listdir(some))}", [some], args.rounds)
    if "file" in kinds:
        compare("one recording of 17 s", [joined(17)], 3 * args.rounds)
    if "timeline" in kinds:
        compare("timeline of 678 s", ["--timeline", joined(678)], args.rounds)
