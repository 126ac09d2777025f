#!/usr/bin/env bash
# Which start of the prototypes is better on Tiny-ImageNet: two starts, three seeds, the same steps.
# TINY_IMAGENET names the folder of the images. Writes below the folder given, ends with k-NN tables.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:?usage: TINY_IMAGENET=IMAGES benchmarks/prototype_start.sh FOLDER}
CONFIG=configs/pretrain/poa_vit-tiny_tiny-imagenet_paper-colours.py
STEPS=${STEPS:-3000}
PATCH=${PATCH:-8}
SEEDS=${SEEDS:-0 1 2}
PYTHON=${PYTHON:-python}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

for seed in $SEEDS; do
    for start in trunc_normal linear; do
        run=$OUT/$start-$seed
        "$PYTHON" tools/train.py "$CONFIG" --work-dir "$run" --cfg-options randomness.seed="$seed" \
            model.head.prototype_init=$start model.backbone.patch_size="$PATCH" \
            train_cfg.max_iters="$STEPS" default_hooks.checkpoint.interval="$STEPS"
        "$PYTHON" tools/eval_knn.py "$run/iter_$STEPS.pth" --subnets w32-d2,w64-d4 --k 20 --baselines \
            --out-dir "$run/knn"
    done
done
