#!/bin/sh
#SBATCH --job-name=ser-merge
#SBATCH --cpus-per-task=1
# Joins what the shards left: merge.sh N PARTS OUT. submit.sh lets it wait for them.
set -eu
n=$1 parts=$2 out=$3
i=1
set --
while [ "$i" -le "$n" ]; do
    set -- "$@" "$parts/$i"
    i=$((i + 1))
done
exec "${SER:-ser}" merge --output "$out" "$@"
