#!/usr/bin/env bash
# Hosts without a scheduler: the same command on each, with its number. Process 0 listens at HOST:PORT.
#
#   node1$ bash experiments/launch/two_hosts.sh node1:9876 0 --config l2s_512x8 --workdir /shared/runs/l2s_512x8
#   node2$ bash experiments/launch/two_hosts.sh node1:9876 1 --config l2s_512x8 --workdir /shared/runs/l2s_512x8
#   bash experiments/launch/two_hosts.sh --smoke here: both on this machine
set -euo pipefail

join() { l2s train --coordinator "$1" --processes 2 --process "$2" "${@:3}"; }

if [ "${1:-}" = --smoke ]; then
  source "$(dirname "$0")/smoke.sh"
  one() { join "127.0.0.1:$port" "$1" "${tiny[@]}"; }
  both one
  exit
fi

join "$@"
