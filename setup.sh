#!/bin/sh
# Installs what ser needs (Debian 12, as root or with sudo), builds it, and shows a prediction on a real recording.
#   sh setup.sh                 all of that
#   sh setup.sh packages        only the packages
#   sh setup.sh packages-test   those and what the tests need besides
#   sh setup.sh packages-cluster  those and Open MPI, for one job on many nodes: build after it
set -eu
cd "$(dirname "$0")"

packages="gcc libc6-dev meson ninja-build pkg-config libdnnl-dev libsndfile1-dev libmpg123-dev libsoxr-dev libkissfft-dev
  libjansson-dev libmd-dev libcairo2-dev libfontconfig-dev libhdf5-dev libxlsxwriter-dev libcurl4-openssl-dev libzip-dev libwebsockets-dev portaudio19-dev ca-certificates fonts-dejavu-core alsa-utils
  libprotobuf-c-dev protobuf-c-compiler libonnx-dev"
cluster_packages="libopenmpi-dev openmpi-bin"
test_packages="$cluster_packages chromium chromium-driver clang clang-format ffmpeg libclang-rt-14-dev llvm python3 python3-numpy"

install_packages() {
  missing=
  for p in "$@"; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
  done
  [ -n "$missing" ] || return 0
  as_root=
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "setup.sh: run this as root, or install sudo" >&2; exit 1; }
    as_root=sudo
  fi
  # shellcheck disable=SC2086
  set -- $missing
  echo "Installing $# packages and what they need, from Debian (minutes on a slow line): $*"
  $as_root apt-get update -qq
  log=$(mktemp)
  # In a terminal apt draws its own bar; elsewhere its lines are shown only where it fails.
  if [ -t 1 ]; then
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o Dpkg::Progress-Fancy=1 "$@"
  else
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  fi
  rm -f "$log"
}

# shellcheck disable=SC2086
install_packages $packages
[ "${1:-}" != packages ] || exit 0
# shellcheck disable=SC2086
[ "${1:-}" != packages-cluster ] || { install_packages $cluster_packages; exit 0; }
# shellcheck disable=SC2086
[ "${1:-}" != packages-test ] || { install_packages $test_packages; exit 0; }

# "Building: 120 of 334" on one line of a terminal; elsewhere one line before, and ninja's only where it fails.
build() {
  log=$(mktemp)
  if [ -t 1 ]; then
    NINJA_STATUS="Building: %f of %t, %es  " /usr/bin/ninja -C build ser
  else
    echo "Building ser (a minute or two)"
    /usr/bin/ninja -C build ser >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  fi
  rm -f "$log"
}

if [ ! -e build/build.ninja ]; then
  echo "Looking for the compiler and the libraries"
  log=$(mktemp)
  /usr/bin/meson setup build --buildtype=release >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
  rm -f "$log"
fi
build

recording=/usr/share/sounds/alsa/Front_Center.wav
[ ! -e ../shared/data/emodb/wav/03a01Wa.flac ] || recording=../shared/data/emodb/wav/03a01Wa.flac
echo
echo "\$ build/ser predict $recording"
build/ser predict "$recording"
