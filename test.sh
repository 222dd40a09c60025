#!/bin/sh
# Runs all tests: with gcc, with clang under AddressSanitizer and UndefinedBehaviorSanitizer, those of what works in
# threads under ThreadSanitizer where clang has it, and the style checks.
# The last line counts them: N passed, N failed.
set -u
cd "$(dirname "$0")"
sh setup.sh packages-test || exit 1

passed=0 failed=0
count() { # count "what was checked" COMMAND...
  what=$1; shift
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $what"; fi
}

targets= tests= # empty: all

# Builds $targets in folder $1 with the meson options that follow, runs $tests, and adds its counts.
build_and_test() {
  dir=$1; shift
  [ -e "$dir/build.ninja" ] || /usr/bin/meson setup "$dir" "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; failed=$((failed + 1)); return; }
  /usr/bin/ninja -C "$dir" $targets >"$dir.log" 2>&1 || { tail -n 40 "$dir.log"; failed=$((failed + 1)); return; }
  /usr/bin/meson test -C "$dir" --no-rebuild --print-errorlogs --timeout-multiplier 10 $tests | tee "$dir.log"
  grep -q '^Ok: ' "$dir.log" || { echo "FAILED: the tests in $dir did not run"; failed=$((failed + 1)); return; }
  passed=$((passed + $(sed -n 's/^Ok: *//p' "$dir.log")))
  failed=$((failed + $(sed -n 's/^Fail: *//p' "$dir.log") + $(sed -n 's/^Timeout: *//p' "$dir.log")))
}

build_and_test build --buildtype=release
CC=clang build_and_test build-sanitize --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
probe=$(mktemp)
if echo 'int main(void) { return 0; }' | clang -fsanitize=thread -x c -o "$probe" - 2>/dev/null && "$probe"; then
  targets="ser tests/api/test-api tests/api/test-networks tests/api/test-sessions tests/api/test-stream"
  tests="api networks sessions threads wire stream"
  export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp"
  CC=clang build_and_test build-threads --buildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false
  unset TSAN_OPTIONS
fi
rm -f "$probe"
count "includes follow docs/architecture.md" tools/check-includes
count "clang-format" sh -c "find src include tests fuzz bench -name '*.[ch]' | xargs clang-format --dry-run -Werror"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
