"""Resume weights and state from a checkpoint, but keep the settings of the config."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn

from poa_mm.checkpoints.checkpoint import SUPERNET_INFO
from poa_mm.engine import config_diff
from poa_mm.engine.inner_model import inner_model
from poa_mm.engine.resumed_schedule import settle_schedule

REQUIRED = ('state_dict', 'meta', 'message_hub', 'optimizer')
# What RuntimeInfoHook has written of this run, which is not to become that of the checkpoint.
OF_THE_LAUNCH = (
    *('cfg', 'experiment_name', 'mmengine_version', 'dataset_meta'),
    *('max_epochs', 'max_iters', 'eta', 'loop_stage'),
)


@HOOKS.register_module()
class ResumeHook(Hook):
    """Compare a checkpoint with the config before mmengine resumes from it.

    mmengine silently replaces the learning rates, weight decays and schedules of the config by
    those of the checkpoint, and loads whatever weights have fitting names. Here

    - weights, optimiser state, iteration and seed are taken from the checkpoint;
    - all settings are taken from the config; what defines a supernet must not have changed. Where
      the schedules have changed, learning rates continue with the values that the config's
      schedules have at this iteration;
    - a run that counts epochs resumes at the start of an epoch, with any batch size.

    Each difference is logged as a warning of one line that says what holds now.
    ``launch.build_runner`` adds this hook to every run.

    Raises:
        ValueError: When starting from weights (``load_from``), if none of them belongs to the
            model, which for mmengine is only a warning. When resuming, if the file has no optimiser
            state, another family, search space or head, weights or parameter groups that do not fit
            the model, or the state of another kind of optimiser; if a schedule that depends on
            metrics has changed.
    """

    priority = 'VERY_LOW'  # after hooks that compare the checkpoint with what they know of the run

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check a checkpoint and put the config's settings into it."""
        name = runner.cfg.get('load_from') or 'the checkpoint'
        if not runner.cfg.get('resume'):
            _check_any_weight(runner.model, checkpoint.get('state_dict', checkpoint), name)
            return
        missing = [key for key in REQUIRED if key not in checkpoint]
        if missing:
            raise ValueError(
                f'{name} has no {", ".join(missing)}, so it cannot be resumed: name a regular '
                'checkpoint, or start a new run from its weights with --cfg-options load_from='
            )
        found = _differences(runner, checkpoint)
        if SUPERNET_INFO in checkpoint:
            config_diff.check_supernet(found, name)
        _check_weights(runner.model, checkpoint['state_dict'], name)
        warnings = [
            *config_diff.shown(found),
            *_seed(runner, checkpoint),
            *_classes(runner, checkpoint),
            *_length(runner, checkpoint),
            *_position(runner, checkpoint),
            *settle_schedule(runner, checkpoint),
            *_end(runner, checkpoint),
        ]
        for warning in warnings:
            runner.logger.warning(f'resumed from {Path(name).name}: {warning}')
        hub = checkpoint['message_hub']
        for part in ('runtime_info', 'resumed_keys'):
            hub[part] = {k: v for k, v in hub[part].items() if k not in OF_THE_LAUNCH}


def _differences(runner: Runner, checkpoint: dict[str, Any]) -> list[config_diff.Difference]:
    """List the settings that differ from those in the checkpoint, where it holds them."""
    saved = (checkpoint.get(SUPERNET_INFO) or {}).get('config')
    text = checkpoint['meta'].get('cfg')
    if saved is None and isinstance(text, str):
        try:
            saved = config_diff.parse_config(text)
        except ValueError:  # objects, which no text can say
            saved = None
    return config_diff.differences(saved, runner.cfg.to_dict()) if saved else []


def _check_any_weight(model: nn.Module, weights: dict[str, Any], name: str) -> None:
    model = inner_model(model)
    own = model.state_dict()
    saved = {key.removeprefix('module.') for key in weights}
    if not saved & own.keys():
        raise ValueError(
            f'load_from={name}: none of its {len(saved)} weights is one of the model, which has '
            f'such as {next(iter(own))}; for those of a backbone alone set model.backbone.init_cfg'
        )


def _check_weights(model: nn.Module, weights: dict[str, Any], name: str) -> None:
    model = inner_model(model)
    own = {key: _shape(value) for key, value in model.state_dict().items()}
    saved = {key.removeprefix('module.'): _shape(value) for key, value in weights.items()}
    differ = [key for key in own.keys() | saved.keys() if own.get(key) != saved.get(key)]
    if differ:
        first = min(differ)
        raise ValueError(
            f'{name} is no checkpoint of this model: {len(differ)} weights differ, such as '
            f'{first}, {saved.get(first, "missing")} in the file and {own.get(first, "missing")} '
            'in the model'
        )


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, 'shape', ()))


def _seed(runner: Runner, checkpoint: dict[str, Any]) -> Iterator[str]:
    saved = checkpoint['meta'].get('seed')
    own = (runner.cfg.get('randomness') or {}).get('seed')
    if None not in (own, saved) and own != saved:
        yield (
            f"the seed stays {saved} instead of the config's {own}: images and random numbers are "
            'those of an uninterrupted run'
        )


def _classes(runner: Runner, checkpoint: dict[str, Any]) -> Iterator[str]:
    metas: Any = (
        checkpoint['meta'].get('dataset_meta'),
        getattr(runner.train_dataloader.dataset, 'metainfo', None),
    )
    saved, own = (list((meta or {}).get('classes') or []) for meta in metas)
    if saved and own and saved != own:
        place, names = next(
            (place, names)
            for place, names in enumerate(zip_longest(saved, own))
            if names[0] != names[1]
        )
        yield (
            'its heads were trained on other classes; those of the data are used: class '
            f'{place} was {names[0]!r} and is {names[1]!r}'
        )


def _length(runner: Runner, checkpoint: dict[str, Any]) -> Iterator[str]:
    key = 'max_iters' if isinstance(runner.train_loop, IterBasedTrainLoop) else 'max_epochs'
    saved, own = _info(checkpoint).get(key), getattr(runner, key)
    if saved not in (None, own):
        yield (
            f'{key} is {own} instead of {saved}: what depends on the length of the run continues '
            'as in a run of the new length'
        )


def _position(runner: Runner, checkpoint: dict[str, Any]) -> Iterator[str]:
    """Move a run that counts epochs to the start of an epoch."""
    meta, info = checkpoint['meta'], _info(checkpoint)
    if isinstance(runner.train_loop, IterBasedTrainLoop):
        accumulated = runner.cfg.optim_wrapper.get('accumulative_counts', 1)
        if meta['iter'] % accumulated:
            yield f'it was saved within a step of {accumulated} batches; their gradients are lost'
        return
    length = len(runner.train_dataloader)
    before = info['max_iters'] // info['max_epochs'] if 'max_epochs' in info else length
    done, within = divmod(meta['iter'], max(before, 1))
    if within or before != length:
        yield (
            f'epochs have {length} iterations instead of {before}; {done} epochs and {within} '
            f'iterations were done: the run resumes at the start of epoch {done + 1}'
        )
    meta.update(epoch=done, iter=done * length)


def _end(runner: Runner, checkpoint: dict[str, Any]) -> Iterator[str]:
    by_iteration = isinstance(runner.train_loop, IterBasedTrainLoop)
    done = checkpoint['meta']['iter' if by_iteration else 'epoch']
    length = runner.max_iters if by_iteration else runner.max_epochs
    if done >= length:
        unit = 'iterations' if by_iteration else 'epochs'
        yield f'it has done {done} {unit} of {length}: there is nothing left to train'


def _info(checkpoint: dict[str, Any]) -> dict[str, Any]:
    return checkpoint['message_hub']['runtime_info']
