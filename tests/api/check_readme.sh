#!/bin/sh
# check_readme.sh CC README INCLUDE LIBRARY PC_FOLDER: the README's C example compiles as it stands, and answers; the
# pkg-config file adds nothing but a folder of headers.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sed -n '/^```c$/,/^```$/p' "$2" | sed '1d;$d' >"$dir/example.c"
[ -s "$dir/example.c" ]
lib=$(dirname "$4")
$1 -std=c11 -Wall -Wextra -Werror -I"$3" "$dir/example.c" "$4" -Wl,-rpath,"$lib" -o "$dir/example"
if LD_LIBRARY_PATH=$lib "$dir/example" /nowhere.wav >"$dir/out" 2>"$dir/err"; then echo "a missing file is no answer"; exit 1; fi
grep -q /nowhere.wav "$dir/err"
speech=/usr/share/sounds/alsa/Front_Center.wav
if [ -e "$speech" ] && "${SER:-false}" info >"$dir/info" 2>&1; then
  LD_LIBRARY_PATH=$lib "$dir/example" "$speech" >"$dir/out"
  grep -q '^[a-z]* [0-9]' "$dir/out" || { cat "$dir/out"; exit 1; }
fi
flags=$(PKG_CONFIG_PATH=$5 pkg-config --cflags ser)
for flag in $flags; do
  case $flag in -I*) ;; *) echo "pkg-config --cflags: $flag"; exit 1 ;; esac
done
