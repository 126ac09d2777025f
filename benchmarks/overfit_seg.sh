#!/usr/bin/env bash
# Overfit eight real images (benchmarks/seg.md): pre-trains a tiny supernet, trains UPerNet on a
# sub-network of it, tests the last checkpoint with tools/test.py and draws the predictions.
# Skips what is finished in OUT. FOLDER holds images/ and semantic/ (masks of COCO's panoptic ids),
# with train2017/ and val2017/ in both. One core takes about 17 minutes, half of them for pre-training.
set -euo pipefail
cd "$(dirname "$0")/.."
FOLDER=${1:?usage: benchmarks/overfit_seg.sh FOLDER OUT [options of tools/train.py --cfg-options]}
OUT=${2:?usage: benchmarks/overfit_seg.sh FOLDER OUT [options of tools/train.py --cfg-options]}
shift 2
CONFIG=configs/seg/upernet_poa_vit-tiny_overfit.py
PYTHON=${PYTHON:-python}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

[ -d "$OUT/masks8" ] ||
    "$PYTHON" benchmarks/mask_subset.py "$FOLDER" "$OUT/masks8" --images 8 --classes 24
SUPERNET=$OUT/supernet/iter_1000.pth
[ -f "$SUPERNET" ] || "$PYTHON" tools/train.py configs/pretrain/poa_vit-tiny_folder.py \
    --work-dir "$OUT/supernet" \
    --cfg-options train_dataloader.dataset.data_root="$FOLDER/images/train2017"
DATA=(model.backbone.init_cfg.checkpoint="subnet://w48-d4@$SUPERNET")
for loader in train val test; do
    DATA+=("${loader}_dataloader.dataset.data_root=$OUT/masks8")
done
[ -f "$OUT/run/last_checkpoint" ] ||
    "$PYTHON" tools/train.py "$CONFIG" --work-dir "$OUT/run" --cfg-options "${DATA[@]}" "$@"
if [ ! -d "$OUT/drawn" ]; then
    rm -rf "$OUT/drawn.partial" # of a test that was stopped
    LATEST=$(basename "$(cat "$OUT/run/last_checkpoint")")
    "$PYTHON" tools/test.py "$CONFIG" "$OUT/run/$LATEST" --work-dir "$OUT/test" \
        --show-dir "$OUT/drawn.partial" --cfg-options "${DATA[@]}" "$@"
    mv "$OUT/drawn.partial" "$OUT/drawn"
fi
