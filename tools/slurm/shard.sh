#!/bin/sh
#SBATCH --job-name=ser-shard
#SBATCH --cpus-per-task=2
#SBATCH --requeue
# One shard of N, as a task of a job array; what submit.sh submits. To do shard 3 again, with the arguments as they were:
#
#     sbatch --array=3 tools/slurm/shard.sh N PARTS extract --data CORPUS --feature-type TYPE ...
#
# N is an argument because an array of one task would not know it.
set -eu
n=$1 parts=$2 command=$3
shift 3
part=$parts/$SLURM_ARRAY_TASK_ID
case $command in
extract) output=--features-dir ;;
predict) output=--output ;;
*) echo "shard.sh: '$command' has no shards: extract or predict" >&2; exit 2 ;;
esac
exec "${SER:-ser}" "$command" --shard "$SLURM_ARRAY_TASK_ID/$n" --jobs "${SLURM_CPUS_PER_TASK:-1}" "$output" "$part" "$@"
