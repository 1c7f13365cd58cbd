#!/usr/bin/env bash
# One machine with several GPUs: one process drives them all, and nothing has to be said.
#
#   bash experiments/launch/one_node.sh --config l2s_512x8
#   bash experiments/launch/one_node.sh --smoke  here: one process with two virtual devices
#
# With Open MPI, one process a GPU: mpirun -n 8 l2s train --cluster --config l2s_512x8
set -euo pipefail

if [ "${1:-}" = --smoke ]; then
  source "$(dirname "$0")/smoke.sh"
  set -- "${tiny[@]}"
fi

l2s train "$@"
