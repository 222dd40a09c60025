#!/usr/bin/env python3
"""Puts every library that a wheel's files need into it, and their licences: tools/repair_wheel.py WHEEL FOLDER.

By auditwheel. Its policies count on libraries of a desktop (X11, GLib, expat, zlib), which a system with nothing but Python
need not have: here these go into the wheel, too, and only the C and C++ runtimes stay outside. Debian's packages say what the
licences are. Prints the path of the new wheel.
"""
import json, os, re, shutil, subprocess, sys, tempfile
from pathlib import Path

from auditwheel import main as auditwheel_main, policy
from auditwheel.libc import Libc

OUTSIDE = {"libc.so.6", "libm.so.6", "libmvec.so.1", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libutil.so.1", "libresolv.so.2", "libanl.so.1",
           "libnsl.so.1", "libgcc_s.so.1", "libstdc++.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def libraries_of(folder):
    """Its name, as it is asked for and as the file is called: where it lies on this machine, of whatever the files in folder need."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.open("rb").read(4) == b"\x7fELF":
            said = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
            for name, path in re.findall(r"^\s*(\S+) => (/\S+)", said, re.M):
                found[name] = found[os.path.basename(os.path.realpath(path))] = path
    return found


def package_of(library):
    """Debian's."""
    path = os.path.realpath(library)
    for name in (path, path.replace("/usr/lib/", "/lib/", 1), "/usr" + path):
        p = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True)
        if p.returncode == 0:
            return p.stdout.split(":")[0]
    sys.exit(f"repair_wheel.py: {library} is of no Debian package, so its licence is not known")


def unpacked(wheel, folder):
    subprocess.run([sys.executable, "-m", "wheel", "unpack", "-d", folder, wheel], check=True, stdout=subprocess.DEVNULL)
    return next(Path(folder).iterdir())


def repair(wheel, folder, work):
    policies = json.loads(policy._POLICY_JSON_MAP[Libc.GLIBC].read_text())
    for p in policies:
        p["lib_whitelist"] = [name for name in p["lib_whitelist"] if name in OUTSIDE]
    own = Path(work, "policy.json")
    own.write_text(json.dumps(policies))
    policy._POLICY_JSON_MAP[Libc.GLIBC] = own
    sys.argv = ["auditwheel", "repair", "-w", str(folder), str(wheel)]
    status = auditwheel_main.main()
    if status:
        sys.exit(status)
    return next(Path(folder).glob("*.whl"))


def main():
    wheel, out = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as work:
        lie = libraries_of(unpacked(wheel, Path(work, "before")))
        repaired = repair(wheel, Path(work, "repaired"), work)
        tree = unpacked(repaired, Path(work, "after"))
        licences = next(tree.glob("*.dist-info")) / "licenses" / "libraries"
        licences.mkdir(parents=True)
        for inside in sorted((tree / "ser.libs").iterdir()):
            package = package_of(lie[re.sub(r"-[0-9a-f]{8}(?=\.)", "", inside.name, count=1)])
            shutil.copy(f"/usr/share/doc/{package}/copyright", licences / f"{package}.txt")
        out.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "wheel", "pack", "-d", out, tree], check=True, stdout=subprocess.DEVNULL)
        print(out / repaired.name)


main()
