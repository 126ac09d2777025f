"""Check that a run reads every setting of its config and of ``--cfg-options``.

mmengine accepts any key in a config and reads only those that it knows: with a misspelled setting,
a run silently uses the default.
"""

import inspect
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS, OPTIMIZERS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from poa_mm.arguments import advice, nearest, unknown_class

# How alike (difflib's ratio) a variable of a config file and a setting are, if the one is the other
# misspelled. No variable of the 2,500 configs of mmpretrain, mmdet and mmsegmentation is that close
# to a setting that begins with the same letter, but for variants such as val_evaluator_dice.
MISSPELLED = 0.8


def _parameters(function: Any) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters) - {'self'}


# Settings at the top of a config that a run reads: the arguments of mmengine's runner, and what
# mmengine and the libraries' tools take from there.
RUN_SETTINGS = (_parameters(Runner.__init__) - {'cfg'}) | {
    'custom_imports',
    'find_unused_parameters',
    'knn_test_dataset',  # of the k-NN monitor, and of the evaluation of the checkpoint later on
    'knn_train_dataset',
    'model_wrapper_cfg',
    'official',  # of poa_mm.engine.official_option, as are its settings
    'official_settings',
    'results',  # of poa_mm.evaluation.tested_classifier
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}
# Every other config of OpenMMLab has a variable test_pipeline, which is no misspelled one of these.
NOT_MEANT = frozenset({'tta_model', 'tta_pipeline'})
_DATALOADER = _parameters(DataLoader.__init__) | {'num_batch_per_epoch'}
# Settings that are no arguments of a class, which would object to a wrong one itself.
PLAIN_SETTINGS: dict[str, frozenset[str]] = {
    'train_dataloader': _DATALOADER,
    'val_dataloader': _DATALOADER,
    'test_dataloader': _DATALOADER,
    'env_cfg': frozenset({'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'}),
    'env_cfg.mp_cfg': frozenset({'mp_start_method', 'opencv_num_threads'}),
    'randomness': _parameters(Runner.set_randomness),
    'auto_scale_lr': frozenset({'enable', 'base_batch_size', 'rule'}),
}

SCOPES = ('mmpretrain', 'mmdet', 'mmseg')
# Settings that count something, and must be at least one.
COUNTS = (
    'train_cfg.max_iters',
    'train_cfg.max_epochs',
    'train_cfg.val_interval',
    'train_dataloader.batch_size',
    'val_dataloader.batch_size',
    'test_dataloader.batch_size',
    'optim_wrapper.accumulative_counts',
)


def override(
    cfg: Config, options: Mapping[str, Any] | None, read: Collection[str] = RUN_SETTINGS
) -> None:
    """Override settings of a config by ``--cfg-options``.

    Args:
        cfg: The config, changed in place.
        options: Values by dotted key, such as ``{'model.koleo_weight': 0.1}``.
        read: The settings at the top of a config that the caller reads.

    Raises:
        ValueError: A key that neither the config nor a run has; names the nearest one that they
            have. A variable that the config file has computed its settings from, which is too late
            to change. A key below something that has no keys, or an index beyond a list's end.
            A number of iterations, epochs or images below one.
    """
    options = dict(options or {})
    for key in options:
        _check_key(cfg, key, read)
    cfg.merge_from_dict(options)
    _check_counts(cfg)


def check_config(cfg: Config) -> None:
    """Check that a run reads every setting of its config, before anything is built.

    Looks at names at the top that resemble a setting of a run, and at settings that are no
    arguments of a class. Wrong arguments of a class end the building of it; see
    :func:`poa_mm.arguments.explain`.

    Raises:
        ValueError: A name that nothing reads; says where it stands, and which ones there are. An
            optimiser or a scope that does not exist; a number of iterations, epochs or images
            below one.
    """
    _check_scope(cfg.get('default_scope'))
    _check_counts(cfg)
    for name, value in cfg.items():
        if name in RUN_SETTINGS or not isinstance(value, Mapping | list | tuple):
            continue
        near = nearest(name, RUN_SETTINGS - NOT_MEANT, MISSPELLED)
        if near and near[0] == name[0] and not name.startswith(f'{near}_'):
            raise ValueError(
                f'the config sets {name!r}, which nothing reads; did you mean {near!r}?'
            )
    for path, known in PLAIN_SETTINGS.items():
        node = _at(cfg, path)
        for key in node if isinstance(node, Mapping) else ():
            if key not in known:
                raise ValueError(f'{path} has no setting {key!r}; {advice(key, known)}')
    kind = _at(cfg, 'optim_wrapper.optimizer.type')
    if isinstance(kind, str):  # mmengine would build it from None
        with OPTIMIZERS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
            if registry.get(kind) is None:
                raise ValueError(unknown_class(kind, registry))


def _check_scope(scope: str | None) -> None:
    """Check that there is a library of that name, without importing it."""
    if scope is None or scope in MODELS.children or scope == MODELS.scope:
        return
    if not scope.isidentifier() or find_spec(scope) is None:
        raise ValueError(
            f'default_scope={scope!r} is no library that is installed; its classes are looked for '
            f'there, as in {", ".join(SCOPES)}'
        )


def _check_counts(cfg: Config) -> None:
    for path in COUNTS:
        value = _at(cfg, path)
        fine = isinstance(value, int | float) and value >= 1 and not value % 1 > 0
        if value is not None and not fine:
            raise ValueError(f'{path} must be a whole number of at least 1, got {value!r}')


def _at(cfg: Config, path: str) -> Any:
    """Return the value at a dotted path, or ``None``."""
    node: Any = cfg
    for part in path.split('.'):
        node = node.get(part) if isinstance(node, Mapping | Config) else None
    return node


def _check_key(cfg: Config, key: str, read: Collection[str]) -> None:
    top, *parts = key.split('.')
    if top not in read:
        if top in RUN_SETTINGS:
            raise ValueError(f'{key}: nothing reads {top} here; {advice(top, read)}')
        if top in cfg:
            raise ValueError(
                f'{key}: {top} is a variable of the config file, whose settings are computed '
                'already; change those, or the file'
            )
        raise ValueError(f'{key}: a config has no setting {top!r}; {advice(top, read)}')
    node, path = cfg.get(top), top
    for part in parts:
        if isinstance(node, Mapping):
            if part not in node:
                _check_new(node, part, path)
                return
            node = node[part]
        elif isinstance(node, list | tuple):
            if not part.isdigit() or int(part) >= len(node):
                raise ValueError(f'{key}: {path} is a list of {len(node)}, it has no {part!r}')
            node = node[int(part)]
        elif node is None:
            return
        else:
            raise ValueError(f'{key}: {path} is {node!r}, it has no {part!r}')
        path = f'{path}.{part}'


def _check_new(node: Mapping, part: str, path: str) -> None:
    """Check a key that the config does not have yet.

    A class objects by itself to an argument that it does not take, and ``check_config`` knows the
    plain settings.
    """
    if 'type' in node or path in PLAIN_SETTINGS:
        return
    near = nearest(part, node)
    if near:
        raise ValueError(f'{path} has no setting {part!r}; did you mean {near!r}?')
