#!/bin/sh
# Builds everything for aarch64 and runs the tests of base to model under qemu-user, then lets the program made so and one
# for this machine hear the same recording: scores may differ by 0.001. Of speed it says nothing.
#   tools/check_aarch64.sh [TEST...]      names or --suite NAME, as meson test takes them (default: the suites below)
# Asks for gcc-aarch64-linux-gnu, qemu-user and what setup.sh installs. As anybody: nothing is installed, arm64 packages are
# unpacked into a folder.
# BUILD=FOLDER: default build-aarch64. SYSROOT=FOLDER: where they are unpacked, once (default: sysroot in the build folder).
# SER=FILE: this machine's program (default: build/ser). RECORDING=FILE: what both hear. JOBS=N: tests at a time (default: 1).
# CC: the compiler (default: aarch64-linux-gnu-gcc).
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build-aarch64} ser=${SER:-build/ser} recording=${RECORDING:-/usr/share/sounds/alsa/Front_Center.wav}
compiler=${CC:-aarch64-linux-gnu-gcc}
for program in "${compiler%% *}" aarch64-linux-gnu-ar qemu-aarch64 meson ninja pkg-config protoc-c apt-get dpkg; do
  command -v "$program" >/dev/null || { echo "$program is missing: apt install gcc-aarch64-linux-gnu qemu-user; sh setup.sh packages" >&2; exit 1; }
done
mkdir -p "$build" "${SYSROOT:-$build/sysroot}"
build=$(cd "$build" && pwd)
sysroot=$(cd "${SYSROOT:-$build/sysroot}" && pwd)

# apt with lists and a cache of its own, which knows of no installed package and so names all that is needed.
fetch() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/lists/partial" "$work/archives/partial"
  : >"$work/status"
  set -- -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$work" -o Dir::State::lists="$work/lists" \
    -o Dir::State::status="$work/status" -o Dir::Cache="$work" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=true \
    -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none
  apt-get "$@" update
  # shellcheck disable=SC2046
  apt-get "$@" install -y --no-install-recommends --download-only $(sed -n '/^packages="/,/"$/p' setup.sh | grep -o '[a-z0-9.+-]*-dev')
  for package in "$work"/archives/*.deb; do dpkg -x "$package" "$sysroot"; done
  # Links from the root of their own system lead out of ours.
  find "$sysroot" -type l -lname '/*' | while read -r link; do ln -sfnr "$sysroot$(readlink "$link")" "$link"; done
  touch "$sysroot/complete"
  rm -rf "$work"
  trap - EXIT
}
[ -e "$sysroot/complete" ] || { echo "Fetching Debian's libraries for arm64 into $sysroot (75 MB)"; fetch; }

libraries=usr/lib/aarch64-linux-gnu
cat >"$build/cross.ini" <<CROSS
[binaries]
c = [$(printf "'%s', " $compiler)'--sysroot=$sysroot']
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64', '-L', '$sysroot']

[properties]
sys_root = '$sysroot'
pkg_config_libdir = '$sysroot/$libraries/pkgconfig:$sysroot/usr/share/pkgconfig'
onnx_include_dir = '$sysroot/usr/include/onnx'
needs_exe_wrapper = true

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
CROSS
[ -e "$build/build.ninja" ] || meson setup "$build" --cross-file "$build/cross.ini" --buildtype=release -Dmpi=disabled >"$build/setup.log" || { cat "$build/setup.log"; exit 1; }
ninja -C "$build"

if [ $# = 0 ]; then
  for s in base io audio features metrics nn corpus encoder extract model data keras train tune learn; do set -- "$@" --suite "$s"; done
fi
failed=0
meson test -C "$build" --no-rebuild --no-suite masks --timeout-multiplier 120 --num-processes "${JOBS:-1}" --print-errorlogs "$@" || failed=1

# In fp32, which every processor has.
hear() { "$@" predict --quiet --precision fp32 --min-confidence 0 --format csv "$recording"; }
[ -x "$ser" ] || { echo "$ser is missing, which this machine would hear $recording with" >&2; exit 1; }
there=$(hear qemu-aarch64 -L "$sysroot" "$build/ser" | tail -n 1) here=$(hear "$ser" | tail -n 1)
echo "aarch64: $there"
echo "here:    $here"
printf '%s\n%s\n' "$there" "$here" | awk -F, '{ for (i = 1; i <= NF; i++) a[NR, i] = $i; n[NR] = NF }
  END {
    if (NR != 2 || n[1] != n[2] || n[1] < 5 || !(a[1, 4] + 0 > 0) || a[1, 3] != a[2, 3]) exit 1
    for (i = 4; i <= n[1]; i++) if ((a[1, i] - a[2, i]) ^ 2 > 1e-6) exit 1
  }' || { echo "FAILED: another answer"; failed=1; }
exit $failed
