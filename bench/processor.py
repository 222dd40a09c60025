"""What the processor of a measurement is: its name, what of it matters for speed, and what variables take away."""
import os
import pathlib
import platform
import sys

ABILITIES = (
    ("avx2", "AVX2"), ("avx_vnni", "AVX-VNNI"), ("avx512f", "AVX-512"), ("avx512_vnni", "AVX-512 VNNI"), ("avx512_bf16", "AVX-512 bf16"),
    ("amx_bf16", "AMX bf16"), ("amx_int8", "AMX int8"), ("asimd", "NEON"), ("asimddp", "dot products"), ("i8mm", "int8 matrices"), ("bf16", "bf16"),
)  # fmt: skip
LIMITS = ("SER_BENCH_CPU", "SER_MAX_ISA", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "ATEN_CPU_CAPABILITY", "OPENBLAS_CORETYPE")


def describe():
    """'NAME: AVX2, AVX-VNNI; limited by SER_MAX_ISA=avx2': a stronger processor that is limited is not a weak one."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict((part.strip() for part in line.split(":", 1)) for line in lines if ":" in line)
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    able = [word for flag, word in ABILITIES if flag in flags]
    text = f"{fields.get('model name', platform.machine())}: {', '.join(able) or 'none of the known extensions'}"
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if os.environ.get(name)]
    return text + (f"; limited by {', '.join(limits)}" if limits else "")


def limit(word, program):
    """Where word is given, starts this script again with everything beyond it hidden from all that compute, PROGRAM and peers
    alike: bench/mask_cpu.c says how. PROGRAM is of a folder of builds, which holds the library."""
    if not word or os.environ.get("SER_BENCH_CPU") == word:
        return
    for folder in pathlib.Path(program).resolve().parents:
        library = folder / "bench" / "libmask-cpu.so"
        if library.exists():
            others = [other for other in [os.environ.get("LD_PRELOAD")] if other]
            environment = dict(os.environ, SER_BENCH_CPU=word, LD_PRELOAD=":".join([*others, str(library)]))
            sys.stdout.flush()
            os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    sys.exit(f"--cpu needs bench/libmask-cpu.so in {program}'s folder of builds: ninja -C build bench/libmask-cpu.so")
