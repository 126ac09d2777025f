"""The command line that all tools of evaluation on frozen features share.

A tool adds :func:`add_shared` to its parser, calls :func:`check` before it imports anything slow,
then :func:`open_networks` and :func:`open_data`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poa_mm import cli
from poa_mm.evaluation.what import TIMM_PREFIX, check_what, is_timm_name
from poa_mm.files import check_file, check_free

if TYPE_CHECKING:
    from mmengine.config import Config

    from poa_mm.evaluation.labelled_data import LabelledData, UnlabelledData
    from poa_mm.evaluation.networks.measured import Measured
    from poa_mm.evaluation.store import FeatureStore

__all__ = [
    'add_baselines',
    'add_shared',
    'check',
    'formatter',
    'open_data',
    'open_images',
    'open_networks',
    'open_store',
]

DTYPES = ('float32', 'float16', 'bfloat16')
EXPORTS = ('.onnx', '.pt')  # in float32 only
GIB = 2**30


def formatter(prog: str) -> argparse.HelpFormatter:
    """Format help with room for the names of options, so that it fits a screen."""
    return argparse.HelpFormatter(prog, max_help_position=30)


def add_shared(
    parser: argparse.ArgumentParser, batch_size: int = 256, labelled: bool = True
) -> None:
    """Add what to measure, the data sets, and how to compute.

    Args:
        parser: Of a tool.
        batch_size: Default.
        labelled: Whether images have classes; tools for other images add their own data sets.
    """
    add = parser.add_argument
    add('what', help='checkpoint, file of a network, or timm model')
    add('--subnets', default='all', help='all (default), named, or vit-s,w448-d13')
    add('--branch', choices=['teacher', 'student'])
    add('--timm-weights', default='random', metavar='W', help='random (default), pretrained, FILE')
    add('--image-size', type=int, metavar='SIDE', help='default: that of pre-training')
    if labelled:
        cli.add_labelled_data(parser, 'your own images, a sub-folder for each class')
        add('--config', help="with the data sets (default: the checkpoint's)")
        cli.add_cfg_options(parser, 'knn_train_dataset.data_root=/data')
        add('--max-disk', type=float, default=4, metavar='GIB', help='to keep features (default 4)')
        add('--features', type=Path, metavar='DIR', help='kept ones (default: OUT_DIR/features)')
    add('--batch-size', type=int, default=batch_size)
    add('--workers', type=int, default=2, help='processes that read images')
    cli.add_device(parser)
    add('--dtype', choices=DTYPES, metavar='TYPE', help='float32 (CPU), bfloat16 (GPU) or float16')
    add('--max-memory', type=float, default=8, metavar='GIB', help='for features (default: 8)')
    add('--out-dir', type=Path, help='default: beside the checkpoint')
    cli.add_overwrite(parser)
    cli.add_traceback(parser)


def add_baselines(parser: argparse.ArgumentParser) -> None:
    """Add ``--baselines``: what a useful network must beat, for all protocols that have them."""
    text = 'also measure random weights and pixels'
    parser.add_argument('--baselines', action='store_true', help=text)


def check(
    args: argparse.Namespace,
    protocol: str,
    outputs: Sequence[str],
    journal: str | None = None,
    unlabelled: bool = False,
) -> None:
    """Check arguments and the files that they name; set ``args.out_dir``.

    Args:
        args: Of a parser with :func:`add_shared`.
        protocol: What the default folder is named after, such as ``'knn'``.
        outputs: Names of files that the tool writes into ``args.out_dir``.
        journal: Name of the file there that an unfinished evaluation leaves, if it can go on.
        unlabelled: Whether images without labels will do, so that ``--train-data`` may come alone.

    Raises:
        FileExistsError: An output is there already, and no evaluation to go on with.
        FileNotFoundError: A file or folder is missing.
        ValueError: Options that do not fit.
    """
    check_what(args.what)
    labelled = hasattr(args, 'train_data')
    if labelled and args.config:
        check_file(args.config, 'config')
    if args.out_dir is None:
        args.out_dir = default_folder(args.what, protocol)
    if journal is None or not (args.out_dir / journal).is_file():
        for name in outputs:
            check_free(args.out_dir / name, args.overwrite)
    for option in ('batch_size', 'image_size'):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise ValueError(f'--{option.replace("_", "-")} must be positive, got {value}')
    own = labelled and cli.check_labelled_data(args, unlabelled)
    if own and (args.config or args.cfg_options):
        raise ValueError('--train-data goes without --config and --cfg-options')


def default_folder(what: str, protocol: str) -> Path:
    """Return the folder of results: beside a file, or in ``work_dirs`` for a model of timm.

    Example:
        >>> str(default_folder('run/iter_9.pth', 'knn')), str(default_folder('resnet18', 'knn'))
        ('run/knn_iter_9', 'work_dirs/knn_resnet18')
    """
    if is_timm_name(what):
        return Path('work_dirs') / f'{protocol}_{what.removeprefix(TIMM_PREFIX)}'
    return cli.beside(Path(what), protocol)


def open_networks(args: argparse.Namespace) -> 'Measured':
    """Open what is measured; join the processes that torchrun has started.

    Raises:
        FileNotFoundError: As :func:`~poa_mm.evaluation.open_measured`.
        ValueError: As :func:`~poa_mm.evaluation.open_measured`.
    """
    import torch

    from poa_mm.evaluation.networks.measured import open_measured
    from poa_mm.evaluation.ranks import is_first, join_ranks

    args.device = join_ranks(args.device or cli.default_device())
    fixed = Path(args.what).suffix in EXPORTS
    faster = args.device.type == 'cuda' and not fixed
    args.dtype = args.dtype or ('bfloat16' if faster else 'float32')
    measured = open_measured(
        args.what,
        args.subnets,
        args.branch,
        device=args.device,
        dtype=getattr(torch, args.dtype),
        image_size=args.image_size,
        timm_weights=args.timm_weights,
    )
    if is_timm_name(args.what) and args.timm_weights == 'random' and is_first():
        print(f'note: {args.what} has random weights; see --timm-weights', file=sys.stderr)
    return measured


def open_data(args: argparse.Namespace, measured: 'Measured') -> 'LabelledData':
    """Open the data sets that the user, the config or the checkpoint names.

    Images are prepared as the networks expect them.

    Raises:
        FileNotFoundError: A data set is missing.
        ValueError: There is none, or settings that do not fit.
    """
    from poa_mm.evaluation.labelled_data import LabelledData

    return LabelledData.from_config(data_config(args, measured))


def open_images(args: argparse.Namespace, measured: 'Measured') -> 'LabelledData | UnlabelledData':
    """Open data sets as :func:`open_data`, or, without labels, the images to learn from alone.

    ``--train-data`` alone, or a folder without class folders, is read without labels: all images
    below it, flat or nested.

    Raises:
        FileNotFoundError: A data set is missing.
        ValueError: There is none, or settings that do not fit.
    """
    from mmengine.config import Config

    from poa_mm.evaluation.labelled_data import LabelledData, UnlabelledData
    from poa_mm.evaluation.labelled_folders import has_class_folders, use_unlabelled_folder

    if args.train_data and not (args.test_data and has_class_folders(args.train_data)):
        cfg = Config()
        use_unlabelled_folder(cfg, args.train_data, measured.preprocessing)
        return UnlabelledData.from_config(cfg)
    cfg = data_config(args, measured)
    if 'knn_test_dataset' in cfg:
        data = LabelledData.from_config(cfg)
        if data.train.get_data_info(0).get('gt_label') is not None:
            return data
    return UnlabelledData.from_config(cfg)


def data_config(args: argparse.Namespace, measured: 'Measured') -> 'Config':
    """Load the config with the data sets."""
    import copy

    from mmengine.config import Config

    from poa_mm.checkpoints.config_file import read_config
    from poa_mm.engine.config_check import override
    from poa_mm.evaluation.labelled_data import DATA_SETTINGS
    from poa_mm.evaluation.labelled_folders import use_labelled_folders, use_preprocessing

    own = measured.config
    if args.train_data is not None:
        cfg = Config() if own is None else copy.deepcopy(own)
        use_labelled_folders(cfg, args.train_data, args.test_data, measured.preprocessing)
        return cfg
    if args.config is None and own is None:
        raise ValueError(
            f'{args.what} names no data sets: give --train-data and --test-data, or --config'
        )
    cfg = read_config(args.config) if args.config else copy.deepcopy(own)
    override(cfg, cli.read_cfg_options(args.cfg_options), read=DATA_SETTINGS)
    if own is None or args.image_size is not None:
        use_preprocessing(cfg, measured.preprocessing)
    return cfg


def open_store(
    args: argparse.Namespace,
    measured: 'Measured',
    data: 'LabelledData',
    kinds: Sequence[str] = ('cls',),
    dtype: str = 'float32',
) -> 'FeatureStore | None':
    """Open the store that keeps features, or return None if they take more than ``--max-disk``.

    Raises:
        ValueError: What is kept there is of other weights, data or settings.
    """
    import torch

    from poa_mm.evaluation.ranks import is_first
    from poa_mm.evaluation.store import FeatureStore

    store = FeatureStore(
        args.features or args.out_dir / 'features',
        {
            'checkpoint': measured.source_sha256,
            'branch': measured.branch,
            'precision': f'{args.dtype}, kept in {dtype}',
            'preparation': data.settings,
        },
        data.sha256,
    )
    if args.overwrite and is_first() and args.features is None:
        store.clear()
    images = len(data.train) + len(data.test)
    size = torch.zeros(0, dtype=getattr(torch, dtype)).element_size()
    total = sum(feature_widths(measured, kinds).values()) * images * size
    return store if total <= args.max_disk * GIB else None


def feature_widths(measured: 'Measured', kinds: Sequence[str] = ('cls',)) -> dict[str, int]:
    """Measure the channels of each network's features of these kinds, with one image."""
    import torch

    from poa_mm.evaluation.features import KINDS

    preprocessing = measured.preprocessing
    image = torch.zeros(1, preprocessing.channels, *preprocessing.image_size)
    return {
        network.name: sum(KINDS[kind](tokens).shape[1] for kind in kinds)
        for network, tokens in measured.tokens(image)
    }
