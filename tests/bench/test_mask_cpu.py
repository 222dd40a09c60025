"""bench/mask_cpu.c: a program that runs under it finds a weaker processor, and so do its threads and what it starts.

Usage: test_mask_cpu.py PATH_OF_SER LIBRARY
"""
import os, pathlib, struct, subprocess, sys, tempfile, wave

SER, LIBRARY = sys.argv[1:]
ABILITIES = {"avx2": set(), "avx512vnni": set(), "avx512bf16": {"bf16"}}
SKIPPED = 77


def ser(word, *args):
    return subprocess.run([SER, *args], capture_output=True, text=True, env=dict(os.environ, SER_BENCH_CPU=word, LD_PRELOAD=LIBRARY))


flags = set(pathlib.Path("/proc/cpuinfo").read_text().split())
if "cpuid_fault" not in flags:
    run = ser("avx2", "--version")
    if run.returncode == 2 and "cannot make CPUID fault" in run.stderr:
        sys.exit(SKIPPED)  # and says so, instead of figures of the whole processor

run = ser("486", "--version")
assert run.returncode == 2 and "not one of avx2" in run.stderr and not run.stdout, run
assert ser("", "--version").returncode == 0

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "sound.wav")
    with wave.open(path, "wb") as f:
        f.setparams((1, 2, 16000, 0, "NONE", ""))
        f.writeframes(b"".join(struct.pack("<h", i * 7919 % 16000 - 8000) for i in range(32000)))
    for word, able in ABILITIES.items():
        for precision in ("bf16", "fp32"):
            run = ser(word, "predict", "--precision", precision, path)
            can = precision == "fp32" or (precision in able and "avx512_bf16" in flags)
            assert (run.returncode == 0) == can, (word, precision, run)
            assert can or "this processor cannot compute in bf16" in run.stderr, run
    # Through another program, in several threads.
    code = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
    environment = dict(os.environ, SER_BENCH_CPU="avx2", LD_PRELOAD=LIBRARY)
    command = [sys.executable, "-c", code, SER, "predict", "--jobs", "2", "--precision", "bf16", path, path]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode != 0 and "this processor cannot compute in bf16" in run.stderr, run
