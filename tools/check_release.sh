#!/bin/sh
# Makes the release tarball of the last commit and lets it build and test itself, somewhere else and without the repository.
#   tools/check_release.sh BUILD_FOLDER [TEST...]   BUILD_FOLDER: of a checkout, set up by meson. With TESTs, only those and
#                                                   what they need are built; else all, which is installed, too.
# RECORDING=FILE: what the installed program hears (default: one of the package alsa-utils).
# Leaves BUILD_FOLDER/meson-dist/ser-VERSION.tar.xz and its hash.
set -eu
build=$(cd "$1" && pwd)
shift
meson dist -C "$build" --no-tests --allow-dirty >/dev/null
tarball=$(ls -t "$build"/meson-dist/*.tar.xz | head -n 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xf "$tarball" -C "$work"
cd "$work"/*/
for wanted in LICENSE NOTICE NEWS.md README.md setup.sh test.sh debian/control src/model/builtin.safetensors; do
  [ -s "$wanted" ] || { echo "$(basename "$tarball") lacks $wanted"; exit 1; }
done
meson setup build --buildtype=release >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
[ $# != 0 ] || ninja -C build >"$work/log" 2>&1 || { tail -n 40 "$work/log"; exit 1; }
meson test -C build --print-errorlogs --timeout-multiplier 10 "$@"
if [ $# != 0 ]; then echo "$(basename "$tarball") builds $* and passes"; exit 0; fi
DESTDIR="$work/installed" meson install -C build --no-rebuild --quiet
"$work"/installed/usr/local/bin/ser --version
"$work"/installed/usr/local/bin/ser predict --timeline --picture "$work/a.png" "${RECORDING:-/usr/share/sounds/alsa/Front_Center.wav}" >/dev/null
[ -s "$work/a.png" ] || { echo "The installed program draws no picture"; exit 1; }
echo "$(basename "$tarball") builds, tests and installs"
