# What the launch scripts source for --smoke: a tiny config, and processes of two virtual CPU devices each.
export JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=2
port=$((20000 + RANDOM % 10000))
workdir=$(mktemp -d)
trap 'rm -rf "$workdir"' EXIT
tiny=(--config "$(dirname "${BASH_SOURCE[0]}")/tiny.py" --workdir "$workdir")

# both COMMAND ...: call it with the number of each of two processes; fails if one of them does.
both() {
  "$@" 0 & local first=$!
  "$@" 1 & local second=$! code=0
  wait "$first" || code=$?
  wait "$second" || code=$?
  return "$code"
}
