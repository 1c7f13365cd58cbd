#!/usr/bin/env bash
# TPU slices on GKE, through xpk: one process a host. JAX finds the processes by the variables that GKE and JobSet set.
#
#   CLUSTER=my-cluster IMAGE=my-image TPU=v5litepod-256 SLICES=1 bash experiments/launch/gke_tpu.sh l2s-run \
#       --config l2s_512x8 --workdir /mnt/runs/l2s_512x8
#   bash experiments/launch/gke_tpu.sh --smoke   here: two processes with the variables that GKE sets
#
# IMAGE has this package with its extra [tpu]. The workdir lies on a volume that all pods mount (Filestore, or a bucket
# through GCS FUSE, `xpk storage attach`). A preempted pod gets SIGTERM: all save and end, the JobSet starts them again.
set -euo pipefail

if [ "${1:-}" = --smoke ]; then
  source "$(dirname "$0")/smoke.sh"
  worker() {
    # JAX_FORCE_TPU_INIT: let JAX believe in a TPU's host where there is none.
    export JAX_FORCE_TPU_INIT=1 TPU_SKIP_MDS_QUERY=1 JAX_COORDINATOR_PORT=$port TPU_WORKER_HOSTNAMES=127.0.0.1,127.0.0.1
    export MEGASCALE_COORDINATOR_ADDRESS=127.0.0.1 MEGASCALE_NUM_SLICES=1 MEGASCALE_SLICE_ID=0
    TPU_WORKER_ID=$1 l2s train --cluster "${tiny[@]}"
  }
  both worker
  exit
fi

workload=$1
shift
xpk workload create --cluster "$CLUSTER" --workload "$workload" --docker-image "$IMAGE" \
  --tpu-type "$TPU" --num-slices "${SLICES:-1}" --max-restarts 100 --command "l2s train --cluster $*"
