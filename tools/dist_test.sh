#!/usr/bin/env bash
# Test on several GPUs of one machine, or on several processes of a CPU machine (gloo).
set -euo pipefail

if [[ $# -lt 3 || ! $3 =~ ^[1-9][0-9]*$ ]]; then
    cat >&2 <<'USAGE'
usage: tools/dist_test.sh CONFIG CHECKPOINT NUM_GPUS [options of tools/test.py]

Environment: PORT (29501), PYTHON (python)
USAGE
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
NUM_GPUS=$3
shift 3
PYTHON=${PYTHON:-$(command -v python || command -v python3)}
exec "$PYTHON" -m torch.distributed.run \
    --master_port "${PORT:-29501}" \
    --nproc_per_node "$NUM_GPUS" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "$@"
