#!/bin/sh
# check_symbols.sh LIBRARY HEADER: the library exports what the header declares, all of it, and nothing else.
set -eu
exported=$(nm -D --defined-only "$1" | sed -n 's/.* [A-Za-z] \([A-Za-z_0-9]*\)$/\1/p' | sort)
declared=$(grep -o 'ser_[a-z_]*(' "$2" | tr -d '(' | sort -u | while read -r f; do grep -q "SER_API.*\b$f(" "$2" && echo "$f"; done)
[ "$exported" = "$declared" ] || { printf 'exported:\n%s\n\ndeclared:\n%s\n' "$exported" "$declared"; exit 1; }
