#!/usr/bin/env bash
# Fine-tuning against training from scratch, with all, 10 % and 1 % of the labels of ten classes of
# Tiny-ImageNet, and the smallest sub-network taught by the fine-tuned largest one; three seeds.
# Half an hour of a CPU core. Ends with the table of configs/cls/README.md.
# TINY_IMAGENET names the folder of the images, SUPERNET a checkpoint of
# configs/pretrain/poa_vit-tiny_tiny-imagenet.py. Writes below the folder given; a run that was
# interrupted starts anew, finished ones are kept. SEEDS=0 in one shell and SEEDS=1 in another share
# the work. EPOCHS are those with 1, 10 and 100 percent of the labels, the same with and without
# pre-training.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:?usage: TINY_IMAGENET=IMAGES SUPERNET=CHECKPOINT benchmarks/finetune.sh FOLDER}
CONFIG=configs/cls/finetune_poa_folder.py
PYTHON=${PYTHON:-python}
read -r FEW SOME ALL <<< "${EPOCHS:-40 15 5}"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

for split in train val; do
    mkdir -p "$OUT/images/$split"
    for class in $(ls "$TINY_IMAGENET/$split" | head -n 10); do
        ln -sfn "$(realpath "$TINY_IMAGENET/$split/$class")" "$OUT/images/$split/$class"
    done
done
for percent in 1 10 100; do
    [ -e "$OUT/$percent.txt" ] || "$PYTHON" tools/make_subset.py "$OUT/images/train" \
        "$OUT/$percent.txt" --percent "$percent"
done

# train RUN SUBNET PERCENT EPOCHS OPTIONS...: into $OUT/RUN, unless it is there
train() {
    [ ! -e "$OUT/$1/done" ] || return 0
    rm -rf "${OUT:?}/$1"
    mkdir -p "$OUT/$1"
    "$PYTHON" tools/train.py "$CONFIG" --work-dir "$OUT/$1" --cfg-options \
        randomness.seed="$SEED" \
        train_dataloader.dataset.data_root="$OUT/images" \
        train_dataloader.dataset.subset="$OUT/$3.txt" \
        model.backbone.init_cfg.checkpoint="subnet://$2@$SUPERNET" \
        model.backbone.drop_path_rate=0.0 model.train_cfg=None \
        train_cfg.max_epochs="$4" train_cfg.val_interval="$4" \
        default_hooks.checkpoint.interval="$4" \
        train_dataloader.num_workers=0 train_dataloader.persistent_workers=False \
        val_dataloader.num_workers=0 val_dataloader.persistent_workers=False "${@:5}"
    touch "$OUT/$1/done"
}

for SEED in ${SEEDS:-0 1 2}; do
    for net in smallest largest; do
        for part in "1:$FEW" "10:$SOME" "100:$ALL"; do # percent of the labels : epochs
            run=$net-${part%:*}-seed$SEED
            train "fine-tuned-$run" $net "${part%:*}" "${part#*:}"
            # All layers learn at the same rate where none has learned before.
            train "scratch-$run" $net "${part%:*}" "${part#*:}" \
                model.backbone.random_weights=True optim_wrapper.paramwise_cfg.layer_decay=1.0
        done
    done
    for part in "1:$FEW" "10:$SOME" "100:$ALL"; do
        run=${part%:*}-seed$SEED
        train "distilled-smallest-$run" smallest "${part%:*}" "${part#*:}" \
            model.type=DistilledImageClassifier \
            model.teacher="$(echo "$OUT/fine-tuned-largest-$run"/best_*.pth)"
    done
done

"$PYTHON" benchmarks/finetune_table.py "$OUT"
