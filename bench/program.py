#!/usr/bin/env python3
"""Times the whole program on real recordings: cold start, a corpus, an hour, an evaluation from the audio.

  bench/program.py PATH_OF_SER DATA_DIR WHISPER_FOLDER [--cpu WORD]

--cpu avx2 (avxvnni, avx512, avx512vnni, avx512bf16) hides the rest of the processor: bench/mask_cpu.c. DATA_DIR holds emodb/, ravdess/ and emobox/. Run it on a quiet machine; quote medians. Needs nothing but Python.
"""
import argparse, os, statistics, subprocess, tempfile, time, wave

from processor import describe, limit

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
for name in ("ser", "data", "whisper"):
    parser.add_argument(name, type=os.path.abspath)
parser.add_argument("--cpu", metavar="WORD")
options = parser.parse_args()
limit(options.cpu, options.ser)
SER, DATA, WHISPER = options.ser, options.data, options.whisper


def run(args, **kw):
    """Seconds, peak memory in MB."""
    start = time.perf_counter()
    p = subprocess.Popen([SER, *args], stdout=subprocess.DEVNULL, **kw)
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    assert p.returncode == 0, args
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def recordings(folder):
    return sorted(os.path.join(d, f) for d, _, files in os.walk(os.path.join(DATA, folder)) for f in files)


print(f"{describe()}; {len(os.sched_getaffinity(0))} cores")

three_seconds = recordings("ravdess/Actor_01")[0]
times, peaks = zip(*(run(["predict", three_seconds]) for _ in range(21)))
print("predict, one recording of 3.3 s, whole process: median %.0f ms (%.0f to %.0f), %.0f MB" % (
    1000 * statistics.median(times), 1000 * min(times), 1000 * max(times), max(peaks)))

for precision in ("auto", "fp32"):
    seconds, peak = run(["predict", "--format", "csv", "--precision", precision, os.path.join(DATA, "ravdess")])
    print("predict, all of RAVDESS (5,330 s), --precision %s: %.1f s, %.0f times real time, %.0f MB" % (precision, seconds, 5330 / seconds, peak))

with tempfile.TemporaryDirectory() as folder:
    for precision in ("auto", "fp32"):
        seconds, peak = run(["extract", "--data", "RAVDESS", "--data-dir", DATA, "--feature-type", "WHISPER", "--encoder", WHISPER, "--precision",
                             precision, "--overwrite", "--features-dir", folder], stderr=subprocess.DEVNULL)
        print("extract, WHISPER features of all of RAVDESS, --precision %s: %.1f s, %.0f times real time, %.0f MB" % (
            precision, seconds, 5330 / seconds, peak))

    # Long recordings of the speech that Debian's alsa-utils brings, end to end.
    source = "/usr/share/sounds/alsa/Front_Center.wav"
    with wave.open(source) as f:
        parameters, data = f.getparams(), f.readframes(f.getnframes())
    for minutes in (15, 60):
        path = os.path.join(folder, "long.wav")
        with wave.open(path, "wb") as f:
            f.setparams(parameters)
            for _ in range(round(60 * minutes * parameters.framerate / parameters.nframes)):
                f.writeframesraw(data)
        seconds, peak = run(["predict", "--timeline", "--format", "json", path])
        print("predict --timeline, %d minutes at %d kHz: %.1f s, %.0f MB" % (minutes, parameters.framerate // 1000, seconds, peak))

    seconds, peak = run(["evaluate", "--data", "EMODB", "--data-dir", DATA, "--feature-type", "WHISPER", "--protocol", "emobox", "--folds",
                         os.path.join(DATA, "emobox/emodb_test_folds.csv"), "--encoder", WHISPER, "--layers", "1,2,3", "--augment", "none"],
                        env=dict(os.environ, XDG_CACHE_HOME=folder))
    print("evaluate EMO-DB by emobox from the audio, layers 1,2,3, no copies, nothing cached: %.1f s, %.0f MB" % (seconds, peak))
