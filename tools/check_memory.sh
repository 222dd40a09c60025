#!/bin/sh
# Runs the quick tests in C under valgrind's memcheck: reads of what was never written, which sanitizers do not see, and
# memory that is lost. Usage: tools/check_memory.sh [TEST...]         (valgrind; default: the suites below)
# BUILD=DIR: those of a build that is there.
# Errors of libraries stand in tests/valgrind.supp, each with its reason.
set -eu
cd "$(dirname "$0")/.."
dir=${BUILD:-build-memory}
[ -e "$dir/build.ninja" ] || CC="${CC:-gcc}" meson setup "$dir" --buildtype=debugoptimized >/dev/null
suites="base io features metrics corpus keras report extract"
if [ $# = 0 ]; then
  for s in $suites; do set -- "$@" --suite "$s"; done
fi
# Compiled for several processors, valgrind gets what it knows: AVX2. oneDNN is told so by its own variable.
export ONEDNN_MAX_CPU_ISA=AVX2
exec meson test -C "$dir" ${BUILD:+--no-rebuild} --timeout-multiplier 60 --num-processes "${JOBS:-1}" --print-errorlogs \
  --wrapper "valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --suppressions=$PWD/tests/valgrind.supp" "$@"
