#!/bin/sh
#SBATCH --job-name=ser-ranks
#SBATCH --ntasks=4
#SBATCH --cpus-per-task=2
#SBATCH --signal=TERM@60
#SBATCH --requeue
# One training or evaluation on several ranks, of a ser that was built with MPI (-Dmpi=enabled):
#
#     sbatch --ntasks=8 tools/slurm/ranks.sh RUN train --data CORPUS --feature-type TYPE --networks 8 ...
#
# RUN: its run folder. Where that is there already, unfinished, the run goes on. SER_MPI: what your Slurm calls its way to MPI, where that
# is not pmix. A rank that dies ends the others.
set -eu
run=$1 command=$2
shift 2
if [ -e "$run/config.json" ]; then
    set -- --resume "$run"
else
    set -- "$@" --run "$run"
fi
exec srun --mpi="${SER_MPI:-pmix}" --kill-on-bad-exit=1 "${SER:-ser}" "$command" "$@" --jobs "${SLURM_CPUS_PER_TASK:-1}"
