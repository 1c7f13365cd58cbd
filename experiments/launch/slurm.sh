#!/usr/bin/env bash
# Slurm: two nodes of eight GPUs, one process a GPU. JAX finds the processes by Slurm's variables.
#
#   sbatch experiments/launch/slurm.sh --config l2s_512x8 --workdir /shared/runs/l2s_512x8
#   bash experiments/launch/slurm.sh --smoke     here: two processes with the variables that Slurm sets
#
# Two minutes before its time is up, or when it is preempted, the job saves a checkpoint, ends with 143 and is queued
# again; it goes on where it stopped. Every task must see all GPUs of its node (no --gpus-per-task): JAX picks one.
#SBATCH --job-name=l2s
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

if [ "${1:-}" = --smoke ]; then
  source "$(dirname "$0")/smoke.sh"
  task() {
    export SLURM_JOB_ID=$port SLURM_STEP_NODELIST=127.0.0.1 SLURM_STEP_NUM_NODES=1 SLURM_NTASKS=2
    SLURM_PROCID=$1 SLURM_LOCALID=$1 l2s train --cluster "${tiny[@]}"
  }
  both task
  exit
fi

srun --kill-on-bad-exit=0 l2s train --cluster "$@" || code=$?
[ "${code:-0}" -ne 143 ] || scontrol requeue "$SLURM_JOB_ID"
exit "${code:-0}"
