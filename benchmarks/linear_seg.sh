#!/usr/bin/env bash
# Does pre-training help a linear layer on frozen features (benchmarks/seg.md)? The same sub-network of
# a supernet that was pre-trained on the images and of the same supernet untrained, each with the
# best of three learning rates on the other images. Skips what is finished in OUT. FOLDER is that of
# overfit_seg.sh. One core takes about 15 minutes a seed.
set -euo pipefail
cd "$(dirname "$0")/.."
FOLDER=${1:?usage: [SEEDS="0 1 2"] benchmarks/linear_seg.sh FOLDER OUT}
OUT=${2:?usage: [SEEDS="0 1 2"] benchmarks/linear_seg.sh FOLDER OUT}
PYTHON=${PYTHON:-python}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

[ -d "$OUT/masks" ] || "$PYTHON" benchmarks/mask_subset.py "$FOLDER" "$OUT/masks" --classes 16

pretrain() { # NAME SEED ITERATIONS [options]
    local run=$OUT/$1-$2
    [ -f "$run/last_checkpoint" ] || "$PYTHON" tools/train.py \
        configs/pretrain/poa_vit-tiny_folder.py --work-dir "$run" --cfg-options \
        train_dataloader.dataset.data_root="$FOLDER/images/train2017" randomness.seed="$2" \
        train_cfg.max_iters="$3" "${@:4}"
}

latest() { # RUN, which may have been moved since last_checkpoint was written
    echo "$1/$(basename "$(cat "$1/last_checkpoint")")"
}

sweep() { # NAME SEED
    local run=$OUT/linear-$1-$2
    [ -f "$run/best.pth" ] || "$PYTHON" tools/seg_linear_sweep.py \
        configs/seg/linear_poa_vit-tiny.py --lr 1e-3 1e-2 1e-1 --work-dir "$run" --resume \
        --cfg-options randomness.seed="$2" \
        model.backbone.init_cfg.checkpoint="subnet://w48-d4@$(latest "$OUT/$1-$2")" \
        train_dataloader.dataset.data_root="$OUT/masks" val_dataloader.dataset.data_root="$OUT/masks"
}

for seed in ${SEEDS:-0 1 2}; do
    pretrain trained "$seed" 1000
    pretrain untrained "$seed" 1 optim_wrapper.optimizer.lr=0
    for name in trained untrained; do
        sweep $name "$seed"
    done
done
