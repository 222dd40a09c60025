#!/bin/sh
# Garbage for every public function of the Python package (tests/python/test_garbage.py), with the libraries under
# AddressSanitizer and UndefinedBehaviorSanitizer.
#   tools/fuzz_python.sh [SECONDS] [SEED]      300 seconds by default; builds in build-python-fuzz; needs gcc and a Python with NumPy
set -eu
cd "$(dirname "$0")/.."
build=build-python-fuzz
[ -e $build/build.ninja ] || CC="${CC:-gcc}" meson setup $build --buildtype=debugoptimized -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false -Dtests=false >/dev/null
meson compile -C $build ser:shared_library ser-run:shared_library >/dev/null
# Of the process's own blocks only what the libraries do is of interest: Python keeps what it has until its end.
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:handle_segv=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
  PYTHONPATH=bindings/python:tests/python SER_LIBRARY_DIR=$PWD/$build/src SER_PROGRAM=$build/ser PYTHONDONTWRITEBYTECODE=1 \
  ${PYTHON:-python3} tests/python/test_garbage.py fuzz "${1:-300}" ${2:+"$2"}
