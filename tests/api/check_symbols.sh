#!/bin/sh
# check_symbols.sh LIBRARY HEADER SYMBOLS: the library exports what the header declares, all of it, and nothing else; the Debian
# package's list of symbols has each.
set -eu
exported=$(nm -D --defined-only "$1" | sed -n 's/.* [A-Za-z] \([A-Za-z_0-9]*\)$/\1/p' | sort)
declared=$(grep -o 'ser_[a-z_]*(' "$2" | tr -d '(' | sort -u | while read -r f; do grep -q "SER_API.*\b$f(" "$2" && echo "$f"; done)
[ "$exported" = "$declared" ] || { printf 'exported:\n%s\n\ndeclared:\n%s\n' "$exported" "$declared"; exit 1; }
for f in $declared; do
  grep -q "^ $f@Base " "$3" || { echo "$3 lacks $f"; exit 1; }
done
