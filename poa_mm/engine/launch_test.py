"""Build the runner of a test, for any OpenMMLab library."""

from os import PathLike
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import LoggerHook
from mmengine.runner import Runner

from poa_mm.engine import launch
from poa_mm.engine.inner_model import inner_model
from poa_mm.files import check_free, read_file
from poa_mm.models.backbones.pretrained import load_pretrained

DUMP_SUFFIXES = ('.pkl', '.pickle')
# How the library of a config draws, in its default_hooks.visualization: what to set there.
DRAWING: dict[str, dict[str, Any]] = {
    'mmdet': {'draw': True},
    'mmseg': {'draw': True, 'interval': 1},
    'mmpretrain': {'enable': True, 'interval': 1},
}
DRAWING_FOLDER = {'mmdet': 'test_out_dir', 'mmpretrain': 'out_dir'}


def set_show_dir(cfg: Config, folder: str | PathLike, overwrite: bool = False) -> None:
    """Draw the predictions of every image into a folder.

    Args:
        cfg: Config of the test, changed in place.
        folder: Where to.
        overwrite: The folder may hold something; files of the same name are replaced.

    Raises:
        FileExistsError: The folder holds something already, and ``overwrite`` is not set.
        ValueError: The config's library is none of ours, or has no hook that draws.
    """
    _check_empty(folder, '--show-dir', overwrite)
    path = Path(folder).absolute()
    scope = cfg.get('default_scope')
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if scope not in DRAWING or hook is None:
        raise ValueError(
            f'--show-dir needs default_hooks.visualization and one of the scopes {tuple(DRAWING)}; '
            f'the config has the scope {scope!r} and {"no" if hook is None else "a"} hook'
        )
    hook.update(DRAWING[scope])
    if scope in DRAWING_FOLDER:
        hook[DRAWING_FOLDER[scope]] = str(path)
        _check_names(cfg, folder)  # mmseg numbers its drawings
        return
    # mmseg draws through its visualizer alone.
    cfg.visualizer.update(save_dir=str(path), vis_backends=[{'type': 'LocalVisBackend'}])


def set_out(cfg: Config, out: str, overwrite: bool = False) -> None:
    """Save all predictions as the library's own tools do.

    That is a pickle file, or, for segmentation, a folder with a PNG for each image (the number of
    the class, 1 more under ``reduce_zero_label``): a pickle would hold the logits of all classes.

    Args:
        cfg: Config of the test, changed in place.
        out: The file or folder.
        overwrite: Replace the file, or files of the same name in the folder.

    Raises:
        FileExistsError: There is such a file, or a folder that holds something, and ``overwrite``
            is not set.
        ValueError: It is to be of another kind, or a segmentation config has no ``IoUMetric``.
    """
    evaluators: Any = cfg.test_evaluator
    evaluators = list(evaluators) if isinstance(evaluators, list | tuple) else [evaluators]
    if cfg.get('default_scope') == 'mmseg':
        _set_mask_folder(evaluators, out, overwrite)
        _check_names(cfg, out, suffix='.png')
        return
    if not out.endswith(DUMP_SUFFIXES):
        raise ValueError(f'--out must end with {" or ".join(DUMP_SUFFIXES)}, got {out!r}')
    check_free(out, overwrite)
    # mmdet's packs the masks.
    kind = 'DumpDetResults' if cfg.get('default_scope') == 'mmdet' else 'DumpResults'
    cfg.test_evaluator = [*evaluators, {'type': kind, 'out_file_path': out}]


def _set_mask_folder(evaluators: list[Any], folder: str, overwrite: bool) -> None:
    if folder.endswith(DUMP_SUFFIXES):
        raise ValueError(f'--out is a folder of masks for segmentation, got {folder!r}')
    _check_empty(folder, '--out', overwrite)
    writers = [metric for metric in evaluators if metric['type'] == 'IoUMetric']
    if not writers:
        raise ValueError('--out needs an IoUMetric among the test_evaluator, which writes masks')
    writers[0].output_dir = folder


def _check_names(cfg: Config, folder: str | PathLike, suffix: str | None = None) -> None:
    """Add the hook that checks file names once the data set is known."""
    hook = {'type': 'NameCheckHook', 'folder': str(folder), 'suffix': suffix}
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def _check_empty(folder: str | PathLike, option: str, overwrite: bool) -> None:
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise FileExistsError(f'{option} needs a folder; {folder} is a file')
    if path.exists() and any(path.iterdir()) and not overwrite:
        raise FileExistsError(
            f'{folder} exists already; choose an empty folder for {option}, or replace what has '
            'the same names with --overwrite'
        )


def set_tta(cfg: Config) -> None:
    """Average over several views of each image, as the config's ``tta_model`` says.

    Raises:
        ValueError: The config has no such thing.
    """
    missing = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
    if missing:
        raise ValueError(
            f'--tta needs tta_model and tta_pipeline; the config has no {" and no ".join(missing)}'
        )
    cfg.model = {**cfg.tta_model, 'module': cfg.model}
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


def build_test_runner(cfg: Config, checkpoint: str, launcher: str = 'none') -> Runner:
    """Build the runner of a test, on GPUs or on CPUs.

    Args:
        cfg: Config, with its ``work_dir`` set.
        checkpoint: The trained model. Every weight must be there, and no others: mmengine itself
            would only warn, and test a model that is partly random.
        launcher: ``'none'``, ``'pytorch'`` or ``'slurm'``.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: A damaged file, or weights that do not fit the config's model; says which.
    """
    if '://' not in checkpoint:
        read_file(checkpoint)  # mapped, not loaded: a damaged one shows before the model is built
    cfg.load_from, cfg.resume = checkpoint, False
    runner = launch.build_runner(cfg, launcher, launch.TestRunner)
    load_pretrained(inner_model(runner.model), checkpoint)
    _write_once(runner)
    return runner


def _write_once(runner: Runner) -> None:
    """Have the first process alone write the metrics of a test.

    mmengine's hook writes them from every process to one file, which is torn if they do so at the
    same moment.
    """
    if is_main_process():
        return
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            hook.after_test_epoch = _write_nothing


def _write_nothing(runner: Runner, metrics: object = None) -> None:
    """Stand in for ``LoggerHook.after_test_epoch``."""
