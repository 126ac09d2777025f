"""Mistakes of those who train."""

from mistake_files import damaged, empty, photos, text
from mistake_runner import CHECKPOINT as RUN
from mistake_runner import Mistake

TRAIN = 'python tools/train.py $DEMO'
SET = f'{TRAIN} --cfg-options'
FOLDER = (
    'python tools/train.py configs/pretrain/poa_vit-tiny_folder.py '
    '--cfg-options train_dataloader.dataset.data_root='
)
START = [
    Mistake(
        'mistyped the path of the config',
        'python tools/train.py config/pretrain/poa_vit-tiny_photos.py',
        'list `configs/`',
    ),
    Mistake(
        'named a folder of configs',
        'python tools/train.py configs/pretrain',
        'name one of its files',
    ),
    Mistake(
        'named a checkpoint as the config',
        f'python tools/train.py {RUN}',
        'the config comes first; a checkpoint goes after `--resume`',
    ),
    Mistake(
        'named a part of a config',
        'python tools/train.py configs/_base_/models/poa_vit-tiny.py',
        'take a config of `configs/pretrain`, `det` or `seg`',
    ),
    Mistake(
        'left a bracket open in a config',
        'python tools/train.py mine.py',
        'close it',
        text('mine.py', 'model = dict(\n'),
    ),
    Mistake(
        'used a name in a config that it does not define',
        'python tools/train.py names.py',
        'define it, or write `_base_.widths` for one of the base',
        text('names.py', 'model = dict(widths=widths)\n'),
    ),
    Mistake(
        'based a config on a file that is elsewhere',
        'python tools/train.py moved.py',
        'correct `_base_`, which is relative to the file',
        text('moved.py', "_base_ = './poa_vit-tiny.py'\n"),
    ),
    Mistake('mistyped an option', f'{TRAIN} --workdir runs/one', '`--help` lists them'),
    Mistake(
        'gave a file as the folder to write to',
        f'{TRAIN} --work-dir notes.txt',
        'name a folder; it is made',
        text('notes.txt'),
    ),
    Mistake(
        'started a second run where the first one lies',
        f'{TRAIN} --work-dir work_dirs/poa',
        'as the message says',
    ),
    Mistake('asked for mixed precision without a GPU', f'{TRAIN} --amp', 'leave `--amp` out'),
    Mistake(
        'asked to scale a learning rate that is for no particular batch',
        f'{TRAIN} --auto-scale-lr',
        'set `auto_scale_lr=dict(base_batch_size=…)` in the config',
    ),
    Mistake(
        'named an unknown launcher',
        f'{TRAIN} --launcher mpi',
        'on one machine take `tools/dist_train.sh`',
    ),
    Mistake(
        'named a launcher, but started the tool by hand',
        f'{TRAIN} --launcher pytorch',
        'as the message says',
    ),
    Mistake('wrote the number of GPUs as a word', 'tools/dist_train.sh $DEMO four', 'write `4`'),
    Mistake(
        'spread GPUs over nodes unevenly',
        'NNODES=3 tools/dist_train.sh $DEMO 4',
        'take a multiple of the nodes',
    ),
]
CONFIG = [
    Mistake('misspelled a section', f'{SET} modle.koleo_weight=0.1', 'as the message says'),
    Mistake(
        'misspelled an argument of the model',
        f'{SET} model.koleo_wieght=0.1',
        'as the message says',
    ),
    Mistake(
        'misspelled an argument of the crops',
        f'{SET} train_dataloader.dataset.pipeline.0.local_sise=16',
        'as the message says',
    ),
    Mistake(
        'misspelled a setting of the loader',
        f'{SET} train_dataloader.batchsize=8',
        'as the message says',
    ),
    Mistake(
        'misspelled a backbone',
        f'{SET} model.backbone.type=ElasticVisionTransfomer',
        'take one of those named',
    ),
    Mistake(
        'misspelled an optimiser',
        f'{SET} optim_wrapper.optimizer.type=AdmaW',
        'as the message says',
    ),
    Mistake(
        'normalised colours as if they were grey',
        f'{SET} data_preprocessor.mean=[127.5]',
        'give the mean of each channel',
    ),
    Mistake('misspelled the scope', f'{SET} default_scope=mmpretrian', 'correct it'),
    Mistake(
        'wrote a blank in place of =',
        f'{SET} train_cfg.max_iters 100',
        'write `train_cfg.max_iters=100`',
    ),
    Mistake(
        'left a bracket open',
        f'{SET} model.backbone.widths=[32,64',
        'close it; quote lists with blanks',
    ),
    Mistake(
        'changed a variable of the config file', f'{SET} max_iters=100', 'set `train_cfg.max_iters`'
    ),
    Mistake(
        'counted wrong in a list',
        f'{SET} train_dataloader.dataset.pipeline.3.num_local=4',
        'entries count from 0',
    ),
    Mistake('asked for a run of no steps', f'{SET} train_cfg.max_iters=-5', 'take at least 1'),
    Mistake('wrote a number as a word', f'{SET} train_cfg.max_iters=ten', 'write `10`'),
    Mistake(
        'took a width that no whole attention heads make',
        f'{SET} model.backbone.widths=[30,64]',
        'take multiples of the head dimension',
    ),
    Mistake(
        'took a sub-network deeper than the intact one',
        f'{SET} model.backbone.depths=[2,8]',
        'raise `arch.num_layers`, or stay below',
    ),
    Mistake(
        'left out the local crops',
        f'{SET} train_dataloader.dataset.pipeline.0.num_local=0',
        'take at least 1',
    ),
    Mistake(
        'took crops that patches do not cover',
        f'{SET} train_dataloader.dataset.pipeline.0.local_size=30',
        'take a multiple of the patches',
    ),
    Mistake(
        'spread images apart in a batch of one',
        f'{SET} model.koleo_weight=0.1 train_dataloader.batch_size=1',
        'as the message says',
    ),
    Mistake(
        'gave the teacher a momentum above 1',
        f'{SET} custom_hooks.0.momentum=[0.99,1.5]',
        'stay within the range',
    ),
    Mistake(
        'started from the weights of a backbone alone',
        f'{SET} load_from=backbone.pth',
        'see `configs/pretrain/poa_vit-l_from-backbone.py`',
    ),
]
RESUME = [
    Mistake(
        'named a checkpoint that is not there',
        f'{TRAIN} --resume work_dirs/poa/iter_9.pth',
        'list the folder; `--resume` alone takes the latest',
    ),
    Mistake(
        'named the folder of the run',
        f'{TRAIN} --resume work_dirs/poa',
        'name a file, or `--work-dir work_dirs/poa --resume`',
    ),
    Mistake(
        'named a file that was cut off',
        f'{TRAIN} --resume cut.pth',
        'take an earlier checkpoint',
        damaged,
    ),
    Mistake(
        'named an extracted sub-network',
        f'{TRAIN} --resume backbone.pth',
        'name a checkpoint of the run',
    ),
    Mistake(
        'changed the widths',
        f'{TRAIN} --work-dir runs/w --resume {RUN} --cfg-options model.backbone.widths=[48,64]',
        'keep them, or start a new run',
    ),
    Mistake(
        'changed the heads',
        f'{TRAIN} --work-dir runs/h --resume {RUN} --cfg-options model.head.num_prototypes=[32,64]',
        'keep them, or start a new run',
    ),
    Mistake(
        'went on in the folder of another run',
        f'{TRAIN} --work-dir work_dirs/other --resume {RUN}',
        'choose another `--work-dir`',
        text('work_dirs/other/iter_5.pth'),
    ),
]
FOLDERS = [
    Mistake(
        'mistyped the folder',
        f'{FOLDER}photo/train',
        'correct it; it counts from the current folder',
    ),
    Mistake('named an empty folder', f'{FOLDER}empty', 'name the folder above the images', empty),
    Mistake(
        'named a folder of other files',
        f'{FOLDER}texts',
        'convert them to a kind that is listed',
        text('texts/readme.txt'),
    ),
    Mistake('named one image', f'{FOLDER}photos/train/cats/0.png', 'name its folder'),
    Mistake(
        'named labelled images to vote, but none to classify',
        f'{TRAIN} --train-data photos/train',
        'add `--test-data`',
    ),
]
FINE_TUNE = (
    'python tools/train.py configs/cls/finetune_poa_folder.py --cfg-options '
    'train_dataloader.dataset.data_root='
)
SUBNET = f'model.backbone.init_cfg.checkpoint=subnet://smallest@{RUN}'
FINE_TUNING = [
    Mistake(
        'named the folder of one class',
        f'{FINE_TUNE}photos/train/cats {SUBNET}',
        'name the folder above the classes',
    ),
    Mistake(
        'had images of one class only',
        f'{FINE_TUNE}alone {SUBNET}',
        'put those of all others into a folder, too',
        photos('alone/birds'),
    ),
    Mistake(
        'validated on a class that is not trained',
        f'{FINE_TUNE}animals {SUBNET}',
        'give both the same sub-folders',
        photos('animals/train/birds', 'animals/train/dogs', 'animals/val/Birds'),
    ),
    Mistake(
        'named a supernet without a sub-network',
        f'{FINE_TUNE}photos {SUBNET.replace("subnet://smallest@", "")}',
        'as the message says',
    ),
    Mistake(
        'misspelled the sub-network',
        f'{FINE_TUNE}photos {SUBNET.replace("smallest", "smalest")}',
        'take one of those named',
    ),
    Mistake(
        'set the number of classes to another one',
        f'{FINE_TUNE}photos {SUBNET} model.head.num_classes=10',
        'leave it out: it follows from the folders',
    ),
    Mistake(
        'classified with a network that knows no classes',
        'python tools/classify.py backbone.pth photos/val',
        'as the message says',
    ),
    Mistake(
        'mistyped the image',
        'python tools/classify.py backbone.pth photos/val/cats/cat.png',
        'correct it; it counts from the current folder',
    ),
    Mistake(
        'asked for predictions in another kind of file',
        'python tools/classify.py backbone.pth photos/val --out predictions.xlsx',
        'end the name in `.csv`, which spreadsheets open',
    ),
]
