#!/bin/sh
#SBATCH --job-name=ser-fold
#SBATCH --cpus-per-task=2
#SBATCH --signal=TERM@60
#SBATCH --requeue
# The N folds of an evaluation, each a task of a job array, and behind them the report of all:
#
#     tools/slurm/folds.sh N PARTS RUN --data CORPUS --feature-type TYPE --protocol PROTOCOL ...
#
# PARTS: a new folder for what the folds leave; RUN: the run folder that one 'ser evaluate' would have made. N is the protocol's:
# a wrong one is named. As a task, it goes on where it was stopped.
set -eu
n=$1 parts=$2 run=$3
shift 3
here=$(dirname "$0")
if [ -z "${SLURM_ARRAY_TASK_ID:-}" ]; then
    mkdir -p "$parts"
    folds=$(sbatch --parsable --array="1-$n" "$0" "$n" "$parts" "$run" "$@")
    sbatch --parsable --dependency="afterany:${folds%%;*}" "$here/merge.sh" "$n" "$parts" "$run"
    exit
fi
part=$parts/$SLURM_ARRAY_TASK_ID
[ ! -e "$part/manifest.json" ] || exit 0
where=--run
[ ! -e "$part/config.json" ] || where=--resume
exec "${SER:-ser}" evaluate "$@" --fold "$SLURM_ARRAY_TASK_ID" --jobs "${SLURM_CPUS_PER_TASK:-1}" "$where" "$part"
