"""Change the length of a run by one setting, and have its schedules follow."""

import copy
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.config import Config

from poa_mm.engine import config_check
from poa_mm.engine.official_option import settle_official

COUNTS_EPOCHS = {'max_iters': False, 'max_epochs': True}  # settings of train_cfg
WARMUP_SHARE = 0.1  # of a run, that a warm-up may take in any case
WARMUPS = ('Linear', 'Constant', 'Warmup')  # in the names of schedulers
EPOCH_DIGITS = 4  # of parts of an epoch
SHORTEST_WARMUP = 2  # steps; mmengine's factor of one step stays at its first value
POA_TIMES = (
    'temp_warmup_epochs',
    'ibot_start_epoch',
    'freeze_last_layer_epochs',
    'head_warmup_epochs',
)


@dataclass(frozen=True)
class _Change:
    """A change of a run's length.

    Args:
        key: Setting of ``train_cfg`` that has the length.
        old: Length in the config.
        new: Length now.
        stretch: Iterations now for one of the config, where a step accumulates other batches.
    """

    key: str
    old: int
    new: int
    stretch: float

    def warmup(self, length: float) -> float:
        """Return the new length of a warm-up."""
        share = max(WARMUP_SHARE, length / self.old)
        return min(length * self.stretch, share * self.new)


def merge_options(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Apply ``--cfg-options`` to a config; schedules follow the length of the run.

    ``train_cfg.max_iters``, or ``train_cfg.max_epochs``, is the one setting for that length. Where
    an option changes it, what is scheduled to the end of the run ends with it, and milestones keep
    their share. A warm-up keeps its length as long as it takes no more than a tenth of the run, or
    than the share that it had; so do the times of ``POAHook``. With another
    ``optim_wrapper.accumulative_counts`` beside it, they keep their number of steps. What options
    set themselves stays as they set it. ``official=True`` is applied before; see
    :func:`~poa_mm.engine.official_option.settle_official`.

    Args:
        cfg: Config, changed in place. Its ``run_notes`` tell what has followed;
            :func:`~poa_mm.engine.launch.build_runner` logs them.
        options: Values by dotted keys.

    Raises:
        ValueError: A key that nothing reads; see :func:`~poa_mm.engine.config_check.override`.
    """
    options = dict(options or {})
    settle_official(cfg, options)
    before = copy.deepcopy(cfg)
    config_check.override(cfg, options)
    change = _change(before, cfg)
    if change is None:
        return
    told = [*_follow_schedulers(cfg, before, change, set(options))]
    if not COUNTS_EPOCHS[change.key]:
        told += _follow_poa_hooks(cfg, change, set(options))
    if told:
        note = (
            f'train_cfg.{change.key} is {change.new} in place of {change.old}; schedules follow: '
        )
        cfg.run_notes = [*cfg.get('run_notes', []), note + ', '.join(told)]


def _change(before: Config, after: Config) -> _Change | None:
    old, new = ((cfg.get('train_cfg') or {}) for cfg in (before, after))
    key = next((key for key in COUNTS_EPOCHS if old.get(key) and new.get(key)), None)
    if key is None or old[key] == new[key]:
        return None
    counts = [(c.get('optim_wrapper') or {}).get('accumulative_counts', 1) for c in (before, after)]
    return _Change(key, old[key], new[key], stretch=counts[1] / counts[0])


def _follow_schedulers(
    cfg: Config, before: Config, change: _Change, given: set[str]
) -> Iterator[str]:
    """Fit the schedulers that count in the run's unit; yield what has changed."""
    originals: Any = before.get('param_scheduler') or []
    single = isinstance(originals, dict)
    by_optimiser = single and 'type' not in originals
    if 'param_scheduler' in given or by_optimiser or not originals:
        return
    originals = [originals] if single else originals
    fitted = [cfg.param_scheduler] if single else list(cfg.param_scheduler)
    counting = [
        index
        for index, scheduler in enumerate(originals)
        if scheduler.get('by_epoch', True) == COUNTS_EPOCHS[change.key]
    ]
    warmup = max((_end_of_warmup(originals[index], change.old) for index in counting), default=0)
    knots = [0, warmup, change.old], [0, change.warmup(warmup), change.new]
    kept = dict(enumerate(fitted))
    for index in counting:
        prefix = 'param_scheduler.' if single else f'param_scheduler.{index}.'
        own = {name.removeprefix(prefix) for name in given if name.startswith(prefix)}
        begin, end = _fit(fitted[index], originals[index], knots, own)
        is_warmup = _end_of_warmup(originals[index], change.old) > 0
        told = f'{fitted[index].type} from {begin:g} to {end:g}'
        shortest = SHORTEST_WARMUP if is_warmup else 1
        if originals[index].get('convert_to_iter_based'):  # parts of epochs; see build_runner
            shortest = 0
        if end - begin < shortest and not own & {'begin', 'end'}:
            del kept[index]
            told = f'{fitted[index].type} left out'
        yield told
    if len(kept) < len(fitted):
        cfg.param_scheduler = list(kept.values())


def _end_of_warmup(scheduler: Mapping[str, Any], length: int) -> int:
    """Return where a scheduler ends if it is a warm-up, else 0."""
    end = scheduler.get('end', length)
    rises = scheduler.get('start_factor', 0) < scheduler.get('end_factor', 1)
    named = any(name in scheduler['type'] for name in WARMUPS)
    return end if named and rises and not scheduler.get('begin') and end < length else 0


def without_short_warmups(schedulers: Any, epoch_length: int) -> tuple[Any, list[str]]:
    """Leave out warm-ups of part of an epoch that are shorter than two iterations.

    Args:
        schedulers: Configs of a run with one optimiser; whatever else there is stays as it is.
        epoch_length: Iterations of an epoch.

    Returns:
        The others, and the names of those left out.
    """
    if not isinstance(schedulers, list | tuple):
        return schedulers, []
    short = [
        one
        for one in schedulers
        if isinstance(one, Mapping)
        and one.get('convert_to_iter_based')
        and any(name in one['type'] for name in WARMUPS)
        and not one.get('begin')
        and 'end' in one
        and int(one['end'] * epoch_length) < SHORTEST_WARMUP
    ]
    return [one for one in schedulers if one not in short], [one['type'] for one in short]


def _fit(
    scheduler: Any, original: Mapping[str, Any], knots: tuple[list, list], own: set[str]
) -> tuple[float, float]:
    """Move a scheduler's steps; return its new begin and end.

    Those that count epochs but change in every iteration may begin and end within an epoch.
    """
    length = knots[0][-1]
    digits = EPOCH_DIGITS if original.get('convert_to_iter_based') else None

    def move(step: float) -> float:
        moved = round(float(np.interp(step, *knots)), digits) if step <= length else step
        return int(moved) if moved == int(moved) else moved

    old_begin, old_end = original.get('begin', 0), original.get('end', length)
    begin, end = move(old_begin), move(old_end)
    ratio = (end - begin) / max(old_end - old_begin, 1)
    moved: dict[str, Any] = {'begin': begin, 'end': end}
    for name in ('T_max', 'total_steps', 'step_size'):
        if original.get(name):
            steps = max(original[name] * ratio, 1)
            moved[name] = steps if name == 'T_max' and steps % 1 else round(steps)
    if original.get('milestones'):
        latest = max(end - 1, begin + 1)  # rounded up, the last one would fall on the end
        moved['milestones'] = [
            (move(old_begin + m) if old_begin + m >= old_end else min(move(old_begin + m), latest))
            - begin
            for m in original['milestones']
        ]
    if original.get('periods'):
        edges = [old_begin, *(old_begin + np.cumsum(original['periods']))]
        moved['periods'] = [max(int(p), 1) for p in np.diff([move(edge) for edge in edges])]
    scheduler.update({k: v for k, v in moved.items() if k in original and k not in own})
    return scheduler.get('begin', 0), scheduler.get('end', knots[1][-1])


def _follow_poa_hooks(cfg: Config, change: _Change, given: set[str]) -> Iterator[str]:
    """Shorten the times of POA hooks whose epochs have a length; yield what has changed."""
    for index, hook in enumerate(cfg.get('custom_hooks') or []):
        prefix = f'custom_hooks.{index}.'
        if 'custom_hooks' in given or hook['type'] != 'POAHook' or not hook.get('epoch_length'):
            continue
        if change.stretch != 1 and f'{prefix}epoch_length' not in given:
            hook.epoch_length = round(hook.epoch_length * change.stretch)
            yield f'POAHook.epoch_length {hook.epoch_length}'
        for name in POA_TIMES:
            epochs = hook.get(name, _poa_default(name))
            own_unit = hook.epoch_length / change.stretch  # of the config
            shortened = change.warmup(epochs * own_unit) / hook.epoch_length
            if shortened < epochs and f'{prefix}{name}' not in given:
                hook[name] = shortened
                yield f'POAHook.{name} {shortened:.3g}'


def _poa_default(name: str) -> float:
    from poa_mm.engine.hooks.poa_hook import POAHook  # with the model, for runs that have one

    return inspect.signature(POAHook).parameters[name].default
