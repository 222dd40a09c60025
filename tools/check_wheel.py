#!/usr/bin/env python3
"""Installs a wheel into a fresh environment of this Python and tries it there: tools/check_wheel.py WHEEL [FOLDER].

Needs nothing but Python with venv, and NumPy from a package index, or a wheel of it in FOLDER, and no network then. Where QEMU's
qemu-x86_64 is, tries it on a processor without AVX2, too. Prints what an import costs and how large the wheel is.
"""
import glob, os, shutil, subprocess, sys, tempfile, zipfile

TRY = r'''
import io, json, math, os, statistics, struct, subprocess, sys, time, wave
import numpy as np
t = time.process_time(); import ser; t = time.process_time() - t
assert os.path.realpath(ser.__file__).startswith(os.path.realpath(sys.prefix)), ser.__file__
rng = np.random.default_rng(0)
def sound(f): return (0.3 * np.sin(2 * np.pi * f * np.arange(16000) / 16000) + 0.01 * rng.standard_normal(16000)).astype(np.float32)
answer = ser.predict(sound(300), rate=16000)
assert answer.note == "no voice" and answer.duration == 1, answer
assert ser.Features("LOGMEL").fit_transform([sound(300)]) .shape == (1, 512)
assert ser.Model().features_of(sound(300), 16000).shape[0] == 50
assert ser.Stream().push(sound(300)) == []
x, y = [sound(f * (1 + i / 40)) for f in (200, 900) for i in range(6)], ["low"] * 6 + ["high"] * 6
c = ser.Classifier("LOGMEL", augment="none").fit(x, y)
assert set(c.predict(x[:1])) <= {"low", "high"}
c.save("model.safetensors")
for i, s in enumerate(x):
    with wave.open(f"{i}.wav", "wb") as w:
        w.setparams((1, 2, 16000, 0, "NONE", "")); w.writeframes((32767 * s).astype("<i2").tobytes())
with open("corpus.csv", "w") as f:
    f.write("file,emotion\n" + "".join(f"{i}.wav,{e}\n" for i, e in enumerate(y)))
report = ser.evaluate("corpus.csv", "kfold=2", feature_type="LOGMEL", augment="none", run="run", on_message=lambda text: None)
assert report.n == 12 and os.path.getsize("run/report.html") > 1000 and os.path.getsize("run/metrics.xlsx") > 1000
for program in ([sys.executable, "-m", "ser"], [os.path.join(os.path.dirname(sys.executable), "ser")]):
    said = json.loads(subprocess.run(program + ["predict", "--format", "json", "0.wav"], check=True, capture_output=True, text=True).stdout)
    assert said["note"] == "no voice", said
    subprocess.run(program + ["predict", "--timeline", "--picture", "a.png", "0.wav"], check=True, capture_output=True)
    assert os.path.getsize("a.png") > 1000
    os.remove("a.png")
print(f"import beyond NumPy's: {1000 * t:.1f} ms")
'''
OLD = r"""
import numpy as np, ser
x = np.random.default_rng(0).standard_normal(8000).astype(np.float32) / 10
assert ser.predict(x, rate=16000, jobs=1).duration == 0.5 and np.isfinite(ser.Model().features_of(x, 16000, jobs=1)).all()
"""


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    wheel = os.path.abspath(sys.argv[1])
    source = ["--no-index", "--find-links", os.path.abspath(sys.argv[2])] if len(sys.argv) == 3 else []
    with zipfile.ZipFile(wheel) as z:
        names = z.namelist()
    licences = [n for n in names if "/licenses/libraries/" in n]
    grafted = [n for n in names if n.startswith("ser.libs/")]
    for wanted in ("LICENSE", "NOTICE"):
        if not any(n.endswith(f"/licenses/{wanted}") for n in names):
            sys.exit(f"check_wheel.py: the wheel lacks {wanted}")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", "env"], check=True, cwd=folder)
        python = os.path.join(folder, "env", "bin", "python")
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *source, wheel], check=True, cwd=folder)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SER_", "LD_"))}
        subprocess.run([python, "-W", "error::ImportWarning", "-c", TRY], check=True, cwd=folder, env=env)
        old = shutil.which("qemu-x86_64")
        if old:
            subprocess.run([old, "-cpu", "Nehalem", python, "-c", OLD], check=True, cwd=folder, env=env)
        # What the loader takes from outside: C's and C++'s own.
        package = glob.glob(os.path.join(folder, "env", "lib", "python3*", "site-packages"))[0]
        outside = set()
        for file in [*glob.glob(f"{package}/ser/*.so*"), *glob.glob(f"{package}/ser/bin/*"), *glob.glob(f"{package}/ser.libs/*")]:
            said = subprocess.run(["ldd", file], check=True, capture_output=True, text=True).stdout
            assert "not found" not in said, f"{file}: {said}"
            outside |= {line.split()[0] for line in said.splitlines() if "=> /" in line and package not in line}
    print(f"{os.path.basename(wheel)}: {os.path.getsize(wheel) / 1e6:.1f} MB, {len(grafted)} libraries of {len(licences)} packages inside; "
          f"from outside {', '.join(sorted(outside))}; Python {sys.version.split()[0]}: works"
          + (", without AVX2, too" if old else ""))


main()
