#!/bin/sh
#SBATCH --job-name=ser-sweep
#SBATCH --cpus-per-task=2
#SBATCH --signal=TERM@60
#SBATCH --requeue
# The same evaluation with other options in each task: those of a line of a file.
#
#     printf '%s\n' '--lr 1e-3' '--lr 3e-3' '--lr 1e-2 --dropout 0.3' >options.txt
#     sbatch --array=1-3 tools/slurm/sweep.sh options.txt RUNS evaluate --data CORPUS --feature-type TYPE --protocol PROTOCOL ...
#
# RUNS: a folder for the run folders, RUNS/1 and so on, each with its report.json. A task that was stopped goes on.
set -eu
line=$(sed -n "${SLURM_ARRAY_TASK_ID}p" "$1") run=$2/$SLURM_ARRAY_TASK_ID command=$3
shift 3
[ -n "$line" ] || { echo "sweep.sh: there is no line $SLURM_ARRAY_TASK_ID of options" >&2; exit 2; }
[ ! -e "$run/report.json" ] || exit 0
if [ -e "$run/config.json" ]; then
    exec "${SER:-ser}" "$command" --resume "$run"
fi
# shellcheck disable=SC2086
exec "${SER:-ser}" "$command" "$@" $line --jobs "${SLURM_CPUS_PER_TASK:-1}" --run "$run"
