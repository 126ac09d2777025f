#!/usr/bin/env bash
# Overfit eight real images (benchmarks/det.md): trains a small detector on a CPU, tests its last
# checkpoint with tools/test.py and draws the predictions. One core takes about ten minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
COCO=${1:?usage: benchmarks/overfit_det.sh COCO_FOLDER OUT [options of tools/train.py --cfg-options]}
OUT=${2:?usage: benchmarks/overfit_det.sh COCO_FOLDER OUT [options of tools/train.py --cfg-options]}
shift 2
CONFIG=configs/det/cascade_poa_vit-tiny_overfit.py
PYTHON=${PYTHON:-python}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

"$PYTHON" benchmarks/coco_subset.py "$COCO" "$OUT/coco8"
ANNOTATIONS=$OUT/coco8/annotations/instances_train2017.json
DATA=(train_dataloader.dataset.data_root="$OUT/coco8" val_dataloader.dataset.data_root="$OUT/coco8"
    test_dataloader.dataset.data_root="$OUT/coco8" val_evaluator.ann_file="$ANNOTATIONS"
    test_evaluator.ann_file="$ANNOTATIONS")
"$PYTHON" tools/train.py "$CONFIG" --work-dir "$OUT/run" --cfg-options "${DATA[@]}" "$@"
CHECKPOINT=$OUT/run/$(basename "$(cat "$OUT/run/last_checkpoint")")
"$PYTHON" tools/test.py "$CONFIG" "$CHECKPOINT" --work-dir "$OUT/test" --show-dir "$OUT/drawn" \
    --out "$OUT/predictions.pkl" --cfg-options "${DATA[@]}" "$@"
