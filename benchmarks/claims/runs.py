"""What a run is made of: its config, the halves of the images, and the hashes of both."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifest import RUNS, Run

from poa_mm.files import check_folder, replaced

if TYPE_CHECKING:
    from mmengine.config import Config

BASE = Path(__file__).parents[2] / 'configs' / 'pretrain' / 'poa_vit-tiny_claims.py'
VARIABLE = 'TINY_IMAGENET'
HALVES = ('learn', 'test')
# What decides the result of a run, beside the seed.
DECISIVE = (
    *('model', 'train_dataloader', 'data_preprocessor', 'optim_wrapper', 'param_scheduler'),
    *('train_cfg', 'custom_hooks', 'knn_train_dataset', 'knn_test_dataset'),
)
PLACES = ('data_root', 'subset')  # differ between machines
QUEUE = 4096  # features for SEED: less than half of the images, as its 65,536 of ImageNet's
OF_POA = ('POAHook', 'CollapseHook')
SAVED = 5  # times in a run
LETTERS = 12  # of a hash, as a short commit


def image_folder() -> Path:
    """Return the folder of training images that the environment names.

    Raises:
        FileNotFoundError: It names none, or one without ``train``.
    """
    root = os.environ.get(VARIABLE)
    if not root:
        raise FileNotFoundError(f'{VARIABLE} is not set: it names the folder of train/CLASS/*')
    folder = Path(root).expanduser() / 'train'
    check_folder(folder)
    return folder


def write_halves(images: Path, folder: Path) -> str:
    """List the images to learn from and those to test on, half of each class.

    The 50 validation images of a class are few: two networks that are right about 15 % of the
    images, but not the same ones, differ by 0.7 points at random on 2,500 and by 0.35 on 10,000.

    Args:
        images: Folder of class folders.
        folder: Where to write ``learn.txt`` and ``test.txt``.

    Returns:
        Hash of the names and sizes of the images.
    """
    halves: dict[str, list[str]] = {name: [] for name in HALVES}
    digest = hashlib.sha256()
    for kind in sorted(path for path in images.iterdir() if path.is_dir()):
        files = sorted(path for path in kind.iterdir() if path.is_file())
        for number, file in enumerate(files):
            name = f'{kind.name}/{file.name}'
            halves[HALVES[number >= len(files) // 2]].append(name)
            digest.update(f'{name} {file.stat().st_size}\n'.encode())
    if not all(halves.values()):
        raise FileNotFoundError(f'{images} has no class folders of two images or more')
    for name, names in halves.items():
        with replaced(folder / f'{name}.txt') as partial:
            partial.write_text('\n'.join(names) + '\n', encoding='utf-8')
    return digest.hexdigest()[:LETTERS]


def build_config(run: Run, seed: int, images: Path, folder: Path) -> 'Config':
    """Build the config of a run.

    Args:
        run: Of the manifest.
        seed: Of weights, order, crops and drawn sub-networks.
        images: Of :func:`image_folder`.
        folder: With the lists of :func:`write_halves`.
    """
    from mmengine.config import Config

    from poa_mm.engine.run_length import merge_options

    cfg = Config.fromfile(BASE)
    lists = {name: str(folder / f'{name}.txt') for name in HALVES}
    changes: dict[str, Any] = {**run.changes, 'randomness.seed': seed, 'model.sampler.seed': seed}
    if run.steps:
        changes |= {
            'train_cfg.max_iters': run.steps,
            'default_hooks.checkpoint.interval': max(run.steps // SAVED, 1),
        }
    for data, half in (
        ('train_dataloader.dataset', 'learn'),
        ('knn_train_dataset', 'learn'),
        ('knn_test_dataset', 'test'),
    ):
        changes |= {f'{data}.data_root': str(images), f'{data}.subset': lists[half]}
    merge_options(cfg, changes)
    if run.teacher:
        _distil(cfg, final_checkpoint(run.teacher, seed, images, folder))
    return cfg


def final_checkpoint(name: str, seed: int, images: Path, folder: Path) -> Path:
    """Return where the run of a name and a seed saves what it ends with."""
    run = RUNS[name]
    config = config_hash(build_config(run, seed, images, folder))
    return folder / f'{name}-seed{seed}-{config}' / f'iter_{run.steps}.pth'


def _distil(cfg: 'Config', teacher: Path) -> None:
    """Turn a run of one network alone into one of SEED."""
    cfg.model = {
        'type': 'SEED',
        'backbone': cfg.model.backbone,
        'teacher': {'type': 'FrozenTeacher', 'checkpoint': f'subnet://largest@{teacher}'},
        'queue_size': QUEUE,
    }
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type not in OF_POA]
    cfg.train_dataloader.dataset.pipeline[0].num_local = 0  # SEED uses no local crops


def config_hash(cfg: 'Config') -> str:
    """Hash what decides the result of a run, without the seed and places on this machine."""
    plain = {name: _without_places(cfg.to_dict()[name]) for name in DECISIVE}
    plain['model'].get('sampler', {}).pop('seed', None)
    teacher = plain['model'].get('teacher')
    if teacher:  # its folder is named after the hash of its config
        teacher['checkpoint'] = Path(teacher['checkpoint']).parent.name.rsplit('-', 1)[-1]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:LETTERS]


def all_hashes(runs: Mapping[str, Run]) -> dict[str, str]:
    """Return the hash of each run's config, for which no images are needed."""
    nowhere = Path()
    return {name: config_hash(build_config(run, 0, nowhere, nowhere)) for name, run in runs.items()}


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(part) for key, part in value.items() if key not in PLACES}
    if isinstance(value, list | tuple):
        return [_without_places(part) for part in value]
    return value
