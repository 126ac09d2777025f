"""Mistakes of those who evaluate, choose and export."""

from mistake_files import damaged, foreign, photos, text
from mistake_runner import CHECKPOINT as RUN
from mistake_runner import Mistake

KNN = f'python tools/eval_knn.py {RUN}'
PICK = f'python tools/pick_subnet.py {RUN}'
PHOTOS = '--train-data photos/train --test-data photos/val'
CHECKPOINTS = [
    Mistake(
        'mistyped the path', 'python tools/eval_knn.py work_dirs/poa/iter_9.pth', 'list the folder'
    ),
    Mistake(
        'named the folder of the run',
        'python tools/eval_knn.py work_dirs/poa',
        'name one of its files',
    ),
    Mistake(
        'named a file that was cut off',
        'python tools/eval_knn.py cut.pth',
        'copy or train it again',
        damaged,
    ),
    Mistake(
        'named an image', 'python tools/eval_knn.py photos/train/cats/0.png', 'name a checkpoint'
    ),
    Mistake(
        'named the weights of another library',
        'python tools/eval_knn.py resnet.pth',
        'see [pretraining.md](pretraining.md)',
        foreign,
    ),
    Mistake(
        'named an extracted sub-network, and no images',
        'python tools/eval_knn.py backbone.pth',
        'name images as well',
    ),
    Mistake(
        'asked for a width that there is not',
        f'python tools/extract_subnet.py {RUN} w30-d2 net.pth',
        'take one of those named',
    ),
    Mistake(
        'misspelled a sub-network',
        f'python tools/extract_subnet.py {RUN} smalest net.pth',
        'take one of those named',
    ),
    Mistake(
        'wrote over a file',
        f'python tools/extract_subnet.py {RUN} smallest backbone.pth',
        'as the message says',
    ),
    Mistake(
        'named a folder to write to',
        f'python tools/extract_subnet.py {RUN} smallest photos --overwrite',
        'name a file in it',
    ),
    Mistake(
        'misspelled the branch',
        f'python tools/extract_subnet.py {RUN} smallest net.pth --branch techer',
        'as the message says',
    ),
    Mistake(
        'converted what is not of the authors',
        f'python tools/convert_official.py {RUN} ours.pth',
        'our own checkpoints need no conversion',
    ),
]
CHOOSING = [
    Mistake(
        'set a budget that nothing fits',
        f'{PICK} --max-params 1K',
        'raise it to what the message says',
    ),
    Mistake('wrote an unknown unit', f'{PICK} --max-params 30X', 'as the message says'),
    Mistake('wrote a latency without unit', f'{PICK} --max-latency 20', 'write `20ms`'),
    Mistake(
        'named accuracies that are not there',
        f'{PICK} --accuracy none.csv',
        'make them with `tools/eval_knn.py`',
    ),
    Mistake(
        'named another kind of table',
        f'{PICK} --accuracy prices.csv',
        'make it with `tools/eval_knn.py`',
        text('prices.csv', 'name,price\na,1\n'),
    ),
    Mistake(
        'named the accuracies of another supernet',
        f'{PICK} --accuracy large.csv',
        'evaluate this one',
        text('large.csv', 'subnet,params,k20\nw448-d13,1,50.0\n'),
    ),
    Mistake(
        'chose from a config without supernet',
        'python tools/pick_subnet.py configs/seg/linear_poa_vit-b.py',
        'name one of `configs/pretrain`',
    ),
    Mistake(
        'gave three sides of an image',
        f'python tools/profile_subnets.py {RUN} --image-size 32 32 3',
        'give one or two',
    ),
    Mistake(
        'exported to an unknown format',
        f'python tools/export_subnet.py {RUN} smallest --to coreml',
        'take ONNX, which others read',
    ),
    Mistake(
        'named a file of another format',
        f'python tools/export_subnet.py {RUN} smallest net.pth --to onnx',
        'as the message says',
    ),
]
EVALUATION = [
    Mistake(
        'asked for more neighbours than there are images', f'{KNN} {PHOTOS} --k 100', 'take fewer'
    ),
    Mistake('asked for no neighbours', f'{KNN} {PHOTOS} --k 0', 'take at least 1'),
    Mistake(
        'evaluated a second time',
        f'{KNN} {PHOTOS} --out-dir done',
        'as the message says',
        text('done/knn.csv'),
    ),
    Mistake(
        'named two sources of images', f'{KNN} {PHOTOS} --config $DEMO', 'leave out one of them'
    ),
    Mistake(
        'misspelled a data set',
        f'{KNN} --cfg-options knn_train_datset.split=test',
        'as the message says',
    ),
    Mistake('named an unknown device', f'{KNN} --device gpu', 'write `cuda`'),
    Mistake(
        'tested a config of pre-training',
        f'python tools/test.py $DEMO {RUN}',
        'take `tools/eval_knn.py`',
    ),
    Mistake(
        'wrote predictions to an unknown kind of file',
        f'python tools/test.py configs/det/cascade_poa_vit-tiny_overfit.py {RUN} --out boxes.json',
        'end the name in `.pkl`',
    ),
    Mistake(
        'swept the rates of a config that is not linear',
        'python tools/seg_linear_sweep.py configs/seg/upernet_poa_vit-b.py',
        'take a `configs/seg/linear_*.py`',
    ),
]
FOLDERS = [
    Mistake(
        'named the folder above train and val',
        f'{KNN} --train-data photos --test-data photos',
        'name `photos/train` and `photos/val`',
    ),
    Mistake(
        'named the folder of one class',
        f'{KNN} --train-data photos/train/cats --test-data photos/val/cats',
        'name the folder above the classes',
    ),
    Mistake(
        'had other classes in the two folders',
        f'{KNN} --train-data photos/train --test-data birds',
        'give both the same sub-folders',
        photos('birds/birds', 'birds/dogs'),
    ),
    Mistake(
        'asked for an array of another kind',
        f'python tools/extract_features.py {RUN} photos/train features.npy',
        'end the name in `.npz`',
    ),
    Mistake(
        'did not say which sub-network is to see the images',
        f'python tools/extract_features.py {RUN} photos/train features.npz',
        'add `--subnet smallest`',
    ),
]
