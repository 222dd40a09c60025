#!/bin/sh
# A job in N shards, and behind them what joins them. On a cluster with Slurm, from any folder that all nodes see:
#
#     tools/slurm/submit.sh N PARTS OUT extract --data CORPUS --feature-type TYPE ...
#     tools/slurm/submit.sh N PARTS OUT predict --format csv PATH...
#
# PARTS: a new folder for what the shards leave; OUT: what one run would have made. SBATCH_... variables choose partition,
# time limit and the like; SER names the program. Prints the number of the job that ends it.
set -eu
[ $# -ge 4 ] || { echo "Usage: $0 N PARTS OUT extract|predict [OPTIONS]" >&2; exit 2; }
n=$1 parts=$2 out=$3
shift 3
here=$(dirname "$0")
mkdir -p "$parts"
shards=$(sbatch --parsable --array="1-$n" "$here/shard.sh" "$n" "$parts" "$@")
# Also behind shards that failed: a recording that cannot be read is no reason to stop, and a shard that is missing is named.
sbatch --parsable --dependency="afterany:${shards%%;*}" "$here/merge.sh" "$n" "$parts" "$out"
