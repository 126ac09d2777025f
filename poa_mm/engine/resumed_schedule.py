"""Set learning rates and other optimiser settings when a run is resumed."""

import warnings
from collections.abc import Iterator
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from poa_mm.engine.schedules import all_schedulers, subject

# How far a scheduler has come; all else in its state is what it is like.
PROGRESS = frozenset(
    {
        *('last_step', '_global_step', '_last_value', 'verbose'),
        *('best', 'num_bad_epochs', 'cooldown_counter'),
    }
)
# By which the groups of one kind of optimiser are told from those of another.
KINDS = frozenset({'betas', 'momentum', 'dampening', 'nesterov', 'alpha', 'rho', 'lambd'})
Groups = list[tuple[dict[str, Any], dict[str, Any]]]  # those of the config, of the checkpoint


def settle_schedule(runner: Runner, checkpoint: dict[str, Any]) -> Iterator[str]:
    """Put the config's optimiser settings and schedules into a checkpoint, before it is loaded.

    mmengine's schedulers multiply the current value in the optimiser, so a changed schedule would
    continue from the value of the old one. Where schedules differ, those of the config therefore
    repeat all steps up to the checkpoint's iteration.

    Args:
        runner: Its optimiser and schedulers are as the config has them, before the first step.
        checkpoint: What mmengine will resume from; changed in place.

    Yields:
        For each thing that was another in the checkpoint, what holds.

    Raises:
        ValueError: Other parameter groups, another kind of optimiser, or schedules that differ and
            depend on metrics.
    """
    if not isinstance(runner.optim_wrapper, OptimWrapper):  # several, each with its own
        return
    groups = _groups(runner.optim_wrapper, checkpoint['optimizer'])
    schedulers = all_schedulers(runner)
    names = sorted({scheduler.param_name for scheduler in schedulers})
    differences = _differences(runner, schedulers, checkpoint)
    if differences:
        _run_through(runner, schedulers, checkpoint['meta'], differences)
        checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in schedulers]
        yield from differences
        yield from _new_rates(groups, names)
    # What follows an unchanged schedule stands in the checkpoint as it should be.
    scheduled = set(names) | {f'initial_{name}' for name in names}
    yield from _new_settings(groups, scheduled)
    for own, saved in groups:
        held = {} if differences else {k: v for k, v in saved.items() if k in scheduled}
        params = saved['params']
        saved.clear()
        saved.update({**own, **held, 'params': params})


def _groups(wrapper: OptimWrapper, state: dict[str, Any]) -> Groups:
    """Pair the parameter groups of both, compared in number, size and kind."""
    own, saved = wrapper.optimizer.param_groups, state['param_groups']
    sizes = [[len(group['params']) for group in groups] for groups in (own, saved)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f'the checkpoint has {len(sizes[1])} parameter groups of {sum(sizes[1])} parameters, '
            f'the config makes {len(sizes[0])} of {sum(sizes[0])}, or divides them in another way: '
            'resume with the same paramwise_cfg'
        )
    kinds = [sorted(KINDS.intersection(*groups)) for groups in (own, saved)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f'the checkpoint has the state of an optimiser with {kinds[1]}, the config has '
            f'{type(wrapper.optimizer).__name__} with {kinds[0]}: resume with the same optimiser'
        )
    pairs = list(zip(own, saved, strict=True))
    base = state.get('base_param_settings')  # what mmengine's log shows as base_lr
    if base is not None and wrapper.base_param_settings is not None:
        pairs.append((wrapper.base_param_settings, base))
    return pairs


def _differences(runner: Runner, schedulers: list[Any], checkpoint: dict[str, Any]) -> list[str]:
    """Describe how the checkpoint's schedules differ from the config's."""
    states = checkpoint.get('param_schedulers') or []
    if len(states) != len(schedulers):
        return [f'the config has {len(schedulers)} schedules in place of {len(states)}']
    told = []
    for scheduler, state in zip(schedulers, states, strict=True):
        own = scheduler.state_dict()
        changed = [
            f'{_label(name)} {_text(own.get(name))} in place of {_text(state.get(name))}'
            for name in sorted((own.keys() | state.keys()) - PROGRESS)
            if own.get(name) != state.get(name)
        ]
        steps = _steps(runner, scheduler, checkpoint['meta'])
        if not changed and not _follows_metrics(scheduler) and state['_global_step'] != steps:
            changed = [f'step {steps} in place of {state["_global_step"]}']
        if changed:
            told.append(f"{type(scheduler).__name__} is the config's: {', '.join(changed)}")
    return told


def _label(name: str) -> str:
    return 'largest initial value' if name == 'base_values' else name


def _text(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(item, float) for item in value):
        return f'{max(value):.6g}'  # those of all groups
    return str(sorted(value)) if isinstance(value, dict) else str(value)


def _follows_metrics(scheduler: Any) -> bool:
    return getattr(scheduler, 'need_val_args', False)


def _steps(runner: Runner, scheduler: Any, meta: dict[str, Any]) -> int:
    """Count the steps that a scheduler had made when a checkpoint was saved."""
    if not scheduler.by_epoch:
        return meta['iter']
    # In a run by iterations, an epoch ends with the run.
    return 0 if isinstance(runner.train_loop, IterBasedTrainLoop) else meta['epoch']


def _run_through(
    runner: Runner, schedulers: list[Any], meta: dict[str, Any], differences: list[str]
) -> None:
    """Repeat all scheduler steps of a run so far, in the order of the run."""
    if any(_follows_metrics(scheduler) for scheduler in schedulers):
        raise ValueError(
            'a schedule that follows a metric can only be resumed as it was, but '
            f'{"; ".join(differences)}'
        )
    epochs = 0 if isinstance(runner.train_loop, IterBasedTrainLoop) else meta['epoch']
    ends = [round(meta['iter'] * epoch / epochs) for epoch in range(1, epochs + 1)]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the optimiser has made no step, as torch notices
        done = 0
        for end in ends:
            _step(schedulers, end - done, by_epoch=False)
            _step(schedulers, 1, by_epoch=True)
            done = end
        _step(schedulers, meta['iter'] - done, by_epoch=False)


def _step(schedulers: list[Any], times: int, by_epoch: bool) -> None:
    concerned = [scheduler for scheduler in schedulers if scheduler.by_epoch == by_epoch]
    for _ in range(times):
        for scheduler in concerned:
            scheduler.step()


def _new_rates(groups: Groups, names: list[str]) -> Iterator[str]:
    for name in names:
        own, saved = (max(pair[side][name] for pair in groups) for side in (0, 1))
        if own != saved:
            yield (
                f"{subject(name)} continues at {own:.6g}, where the config's schedules are at "
                f'this iteration, instead of {saved:.6g}'
            )


def _new_settings(groups: Groups, scheduled: set[str]) -> Iterator[str]:
    changed: dict[str, tuple[Any, Any]] = {}
    for own, saved in groups:
        for name in own.keys() & saved.keys() - scheduled - {'params'}:
            values = [tuple(v) if isinstance(v, list) else v for v in (own[name], saved[name])]
            if values[0] != values[1]:
                changed.setdefault(name, (values[0], values[1]))
    for name, (own_value, saved_value) in sorted(changed.items()):
        yield f"{name} is the config's {own_value}, in place of {saved_value}"
