#!/usr/bin/env bash
# The paper's central claim and its Table 3 on Fashion-MNIST: four ways of training, three seeds, the
# same steps. Two CPU cores take about two hours. Writes below the folder given, ends with k-NN tables.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:?usage: benchmarks/central_claim.sh FOLDER}
CONFIG=configs/pretrain/poa_vit-tiny_fashion-mnist.py
STEPS=${STEPS:-1750}
PYTHON=${PYTHON:-python}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

train() { # NAME SEED SUBNETS [options]
    local run=$OUT/$1-$2 seed=$2 subnets=$3
    shift 3
    "$PYTHON" tools/train.py "$CONFIG" --work-dir "$run" --cfg-options randomness.seed="$seed" \
        train_cfg.max_iters=$STEPS default_hooks.checkpoint.interval=$STEPS "$@"
    "$PYTHON" tools/eval_knn.py "$run/iter_$STEPS.pth" --subnets "$subnets" --k 20 --out-dir "$run/knn"
}

# The smallest sub-network as a network of its own, without an elastic student.
ALONE=(model.elastic_student=False model.backbone.arch.embed_dims=32 model.backbone.arch.num_layers=2
    model.backbone.arch.num_heads=2 model.backbone.arch.feedforward_channels=128
    'model.backbone.widths=[32]' 'model.backbone.depths=[2]')
SUBNETS=w32-d2,w48-d3,w64-d4
for seed in 0 1 2; do
    train poa "$seed" $SUBNETS
    train alone "$seed" all "${ALONE[@]}"
    train no_es1 "$seed" $SUBNETS model.elastic_from_teacher=False
    train no_es2 "$seed" $SUBNETS model.elastic_from_intact=False
done
