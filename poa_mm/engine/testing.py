"""From a config, a checkpoint and command-line options to a test run, in any OpenMMLab library."""

from os import PathLike
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner

from poa_mm.engine import launch
from poa_mm.engine.checkpoint import check_free
from poa_mm.models.backbones.pretrained import load_pretrained

DUMP_SUFFIXES = ('.pkl', '.pickle')
# How the library of a config draws, in its default_hooks.visualization: what to set there.
DRAWING: dict[str, dict[str, Any]] = {
    'mmdet': {'draw': True},
    'mmseg': {'draw': True, 'interval': 1},
    'mmpretrain': {'enable': True, 'interval': 1},
}
DRAWING_FOLDER = {'mmdet': 'test_out_dir', 'mmpretrain': 'out_dir'}


def set_show_dir(cfg: Config, folder: str | PathLike) -> None:
    """Draw the predictions of every image into a folder.

    Raises:
        FileExistsError: The folder holds something already.
        ValueError: The config's library is none of ours, or has no hook that draws.
    """
    path = Path(folder).absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f'{folder} exists already; choose an empty folder for --show-dir')
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
        return
    # mmseg draws through its visualizer alone.
    cfg.visualizer.update(save_dir=str(path), vis_backends=[{'type': 'LocalVisBackend'}])


def set_dump(cfg: Config, path: str) -> None:
    """Save all predictions to a pickle file, as the library's own tools read them.

    Raises:
        FileExistsError: There is such a file.
        ValueError: It is to be of another kind.
    """
    if not path.endswith(DUMP_SUFFIXES):
        raise ValueError(f'--out must end with {" or ".join(DUMP_SUFFIXES)}, got {path!r}')
    check_free(path, overwrite=False)
    # mmdet's packs the masks.
    kind = 'DumpDetResults' if cfg.get('default_scope') == 'mmdet' else 'DumpResults'
    evaluators: Any = cfg.test_evaluator
    evaluators = list(evaluators) if isinstance(evaluators, list | tuple) else [evaluators]
    cfg.test_evaluator = [*evaluators, {'type': kind, 'out_file_path': path}]


def set_tta(cfg: Config) -> None:
    """Average over several views of each image, as the config's ``tta_model`` has it.

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
        ValueError: Weights that do not fit the config's model; says which.
    """
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint at {checkpoint}')
    cfg.load_from, cfg.resume = checkpoint, False
    runner = launch.build_runner(cfg, launcher)
    model = runner.model
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    load_pretrained(model, checkpoint)
    return runner
