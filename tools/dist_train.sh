#!/usr/bin/env bash
# Train on several GPUs, or on several processes of a CPU machine (gloo).
set -euo pipefail

usage() {
    cat >&2 <<'USAGE'
usage: tools/dist_train.sh CONFIG NUM_GPUS [options of tools/train.py]

NUM_GPUS is the total over all nodes. Run the same command on every node, with NODE_RANK set.
Environment: NNODES (1; NUM_GPUS / 8 rounded up where NUM_GPUS > 8), NODE_RANK (0),
MASTER_ADDR (127.0.0.1), PORT (29500), PYTHON (python)
USAGE
    exit 2
}

[[ $# -ge 2 ]] || usage
CONFIG=$1
NUM_GPUS=$2
shift 2
[[ $NUM_GPUS =~ ^[1-9][0-9]*$ ]] || { echo "error: NUM_GPUS must be a positive number, got $NUM_GPUS" >&2; usage; }

if ((NUM_GPUS > 8)); then
    NNODES=${NNODES:-$(((NUM_GPUS + 7) / 8))}
fi
NNODES=${NNODES:-1}
[[ $NNODES =~ ^[1-9][0-9]*$ ]] || { echo "error: NNODES must be a positive number, got $NNODES" >&2; exit 2; }
if ((NUM_GPUS % NNODES)); then
    echo "error: $NUM_GPUS GPUs do not divide among $NNODES nodes" >&2
    exit 2
fi

PYTHON=${PYTHON:-$(command -v python || command -v python3)}
exec "$PYTHON" -m torch.distributed.run \
    --nnodes "$NNODES" \
    --node_rank "${NODE_RANK:-0}" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" \
    --master_port "${PORT:-29500}" \
    --nproc_per_node "$((NUM_GPUS / NNODES))" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "$@"
