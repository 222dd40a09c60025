#!/bin/sh
# Fuzzes the readers: every target, or those named, until N inputs of each have been run in all, beginning with the
# committed corpora in fuzz/seeds; then says for each reader how many ran, how long, and how much they reach with the
# committed ones: the lines of its source files, which may write as well and name what is wrong, and of the functions entered.
# Usage: tools/fuzz_campaign.sh N [TARGET...]       (clang and llvm of `sh setup.sh packages-test`)
#   N = 0 fuzzes nothing: after a fresh checkout the table is that of the committed corpora
#   MERGE=1   writes what reaches more of a reader into its committed corpus
#   JOBS=N    processes at a time (default: 1)
#   SLICE=S   seconds that a target runs before the next has its turn (default: 60)
# What it works on is kept in build-fuzz/campaign, also how many inputs have been run (TARGET/inputs), so that it can be
# stopped at any time and called again: at most a slice is lost. Exit status 1: something crashed, ran out of memory
# (512 MB) or of time (20 s for one input); such a target is left alone until its input in build-fuzz/campaign/TARGET
# (crash-..., oom-..., timeout-...) is removed.
set -eu
cd "$(dirname "$0")/.."
top=$PWD
n=${1:?how many inputs for each target}; shift
all=$(sed -n "s|^  '\([a-z0-9_]*\)': .*_dep\]*,$|\1|p" fuzz/meson.build)
targets=${*:-$all}

sources() { # of the reader that a target runs
  case $1 in
    audio) echo src/audio/audio.c src/audio/container.c src/audio/decoder.c src/audio/kind.c src/audio/mpeg.c src/audio/ogg.c \
      src/audio/outline.c src/audio/source.c src/audio/wav.c ;;
    csv) echo src/io/csv.c ;;
    encoder) echo src/encoder/config.c src/encoder/modules.c src/encoder/whisper.c src/encoder/wav2vec2_config.c ;;
    escape) echo src/report/escape.c ;;
    hub) echo src/net/listing.c ;;
    index) echo src/data/index.c ;;
    keras_h5) echo src/keras/h5.c src/keras/read.c ;;
    mapping) echo src/corpus/mapping.c ;;
    model) echo src/model/model_file.c ;;
    multipart) echo src/serve/multipart.c ;;
    query) echo src/serve/routes.c ;;
    stream) echo src/serve/stream.c ;;
    upload) echo src/serve/answer.c src/serve/request.c src/serve/multipart.c ;;
    npy) echo src/io/npy.c ;;
    options) echo src/cli/options.c ;;
    pickle) echo src/io/pickle.c ;;
    settings) echo src/run/settings.c src/run/settings_json.c ;;
    safetensors) echo src/io/safetensors.c ;;
    textgrid) echo src/io/textgrid.c ;;
    torch) echo src/io/torch.c src/io/zip.c src/io/pickle.c ;;
  esac
}

build() { # FOLDER OPTIONS...: the targets, named by $prefix
  dir=$1; shift
  mkdir -p "$dir"
  [ -e "$dir/build.ninja" ] || CC=clang meson setup "$dir" "$@" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
  # shellcheck disable=SC2046,SC2086
  ninja -C "$dir" $(for t in $targets; do echo "fuzz/$prefix-$t"; done) >"$dir/log" 2>&1 || { tail -n 30 "$dir/log"; exit 1; }
}

if [ "$n" != 0 ] || [ "${MERGE:-0}" = 1 ]; then
  prefix=fuzz build build-fuzz -Dfuzz=true --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
fi

campaign=$top/build-fuzz/campaign
number() { cat "$campaign/$1/$2" 2>/dev/null || echo 0; } # TARGET inputs|seconds

# Inputs and seconds are those of the fuzzing: what only reads the corpora again counts for nothing.
run_slice() { # TARGET
  here=$campaign/$1
  mkdir -p "$here/corpus"
  known=$(find "$here/corpus" "$top/fuzz/seeds/$1" -type f | wc -l)
  began=$(date +%s)
  (cd "$here" && UBSAN_OPTIONS=halt_on_error=1 ASAN_OPTIONS=quarantine_size_mb=16 LSAN_OPTIONS=suppressions="$top/tests/lsan.supp" \
    "$top/build-fuzz/fuzz/fuzz-$1" \
    -runs=$((n - $(number "$1" inputs) + known)) -max_total_time="${SLICE:-60}" -timeout=20 -rss_limit_mb=512 \
    -print_final_stats=1 corpus "$top/fuzz/seeds/$1" >log 2>&1) || cp "$here/log" "$here/failure"
  for f in "$here"/timeout-*; do # a machine that is busy, or slept: it counts if it is too slow alone
    [ ! -e "$f" ] || ! "$top/build-fuzz/fuzz/fuzz-$1" -timeout=20 "$f" >/dev/null 2>&1 || rm "$f"
  done
  ran=$(($(sed -n 's/^stat::number_of_executed_units: *//p' "$here/log" | grep . || echo 0) - known))
  echo $(($(number "$1" seconds) + $(date +%s) - began)) >"$here/seconds"
  [ $ran -le 0 ] || echo $(($(number "$1" inputs) + ran)) >"$here/inputs"
}

failed() { ls "$campaign/$1"/crash-* "$campaign/$1"/oom-* "$campaign/$1"/timeout-* "$campaign/$1"/leak-* 2>/dev/null | grep -q .; }

more=1
while [ $more = 1 ]; do
  more=0 running=0
  for t in $targets; do
    [ "$(number "$t" inputs)" -lt "$n" ] && ! failed "$t" || continue
    more=1
    run_slice "$t" &
    running=$((running + 1))
    [ $((running % ${JOBS:-1})) != 0 ] || wait
  done
  wait
done

export LLVM_PROFILE_FILE=/dev/null # what the build itself runs leaves no profile behind
prefix=run build build-fuzz-coverage --buildtype=debugoptimized -Db_lundef=false \
  -Dc_args="-fprofile-instr-generate -fcoverage-mapping -fcoverage-prefix-map=../=$top/" -Dc_link_args='-fprofile-instr-generate'
status=0
printf '%-12s %12s %9s %8s  %-18s %s\n' reader inputs seconds corpus 'lines reached' 'of functions entered'
for t in $targets; do
  if [ "${MERGE:-0}" = 1 ]; then
    rm -rf "$campaign/$t/merged" && mkdir -p "$campaign/$t/corpus" && cp -r "fuzz/seeds/$t" "$campaign/$t/merged"
    "build-fuzz/fuzz/fuzz-$t" -merge=1 -use_counters=0 -max_len=100000 "$campaign/$t/merged" "$campaign/$t/corpus" >/dev/null 2>&1 || true
    find "$campaign/$t/merged" -type f -size -9 -exec cp -n {} "fuzz/seeds/$t/" \; # of 4 KB at most
  fi
  mkdir -p "$campaign/$t/corpus"
  LLVM_PROFILE_FILE=$campaign/$t/profile "build-fuzz-coverage/fuzz/run-$t" "fuzz/seeds/$t" "$campaign/$t/corpus" >/dev/null 2>&1 || true
  llvm-profdata merge -o "$campaign/$t/merged.profile" "$campaign/$t/profile"
  # shellcheck disable=SC2046
  reached=$(llvm-cov report "build-fuzz-coverage/fuzz/run-$t" -instr-profile="$campaign/$t/merged.profile" -show-functions $(sources "$t") |
    awk '$4 ~ /%$/ && $7 ~ /%$/ && $1 != "TOTAL" { all += $5; hit += $5 - $6; if ($6 < $5) entered += $5 }
         END { a = sprintf("%d of %d", hit, all); printf "%-11s %3d %%  %3d %%", a, 100 * hit / all, 100 * hit / entered }')
  n_corpus=$(find "$campaign/$t/corpus" "fuzz/seeds/$t" -type f | wc -l)
  printf '%-12s %12s %9s %8s  %s\n' "$t" "$(number "$t" inputs)" "$(number "$t" seconds)" "$n_corpus" "$reached"
  if failed "$t"; then
    status=1
    echo "FAILED: see $campaign/$t/failure"
    sed -n '/ERROR\|runtime error\|SUMMARY\|Test unit written/p' "$campaign/$t/failure" | head -n 5
  fi
done
exit $status
