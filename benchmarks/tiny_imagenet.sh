#!/usr/bin/env bash
# All protocols on Tiny-ImageNet: pre-training, evaluation of the nine sub-networks beside random
# weights and pixels, and the table of docs/evaluation.md. About two hours of two CPU cores.
# TINY_IMAGENET names the folder of the images. MASKS, if set, names one of images/ and masks/ that
# benchmarks/mask_subset.py wrote, for dense k-NN. Writes below the folder given; a run that was
# interrupted goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:?usage: TINY_IMAGENET=IMAGES benchmarks/tiny_imagenet.sh FOLDER}
CONFIG=configs/pretrain/poa_vit-tiny_tiny-imagenet.py
PYTHON=${PYTHON:-python}
CHECKPOINT=$OUT/iter_1500.pth
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

[ -e "$CHECKPOINT" ] || "$PYTHON" tools/train.py "$CONFIG" --work-dir "$OUT" --resume

# evaluate TOOL NAME OPTIONS...: into $OUT/NAME, unless it is there
evaluate() {
    [ -e "$OUT/$2/results.jsonl" ] || "$PYTHON" "tools/eval_$1.py" "$CHECKPOINT" \
        --out-dir "$OUT/$2" --features "$OUT/features" "${@:3}"
}
evaluate knn knn_mean --feature mean --baselines
evaluate knn knn_cls --baselines
evaluate linear linear --baselines
evaluate clustering clustering --baselines --repeats 3
evaluate robustness robustness --heads "$OUT/linear"
evaluate robustness robustness_knn --baselines
[ -e "$OUT/label_free/results.jsonl" ] || "$PYTHON" tools/eval_label_free.py "$CHECKPOINT" \
    --out-dir "$OUT/label_free" --knn "$OUT/knn_cls/results.jsonl" --baselines
[ -z "${MASKS:-}" ] || [ -e "$OUT/dense/results.jsonl" ] || "$PYTHON" tools/eval_dense_knn.py \
    "$CHECKPOINT" --train-images "$MASKS/images/train" --train-masks "$MASKS/masks/train" \
    --test-images "$MASKS/images/val" --test-masks "$MASKS/masks/val" --ignore 0 \
    --image-size 128 --out-dir "$OUT/dense" --baselines

"$PYTHON" benchmarks/protocol_table.py "$OUT"/*/results.jsonl
