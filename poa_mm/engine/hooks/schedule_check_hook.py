"""Check that schedules, checkpoints and sampler fit the length of the run."""

from collections.abc import Iterator
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, Runner

from poa_mm.engine.official_option import OPTION
from poa_mm.engine.schedules import all_schedulers, subject

UNBOUNDED = 10**9  # mmengine's end of a schedule that has none
TOLERANCE = 0.02  # of the share of a cosine that a run goes through
EARLY = 0.01  # of the run: where milestones in epochs come that are taken for iterations


@HOOKS.register_module()
class ScheduleCheckHook(Hook):
    """Warn before the first iteration where schedules or saving do not fit the run's length.

    A schedule that ends after the run does not reach its final value; one that ends before it is
    constant for the rest; one that counts epochs never changes in a run that counts iterations. All
    of these train without an error. Each is only a warning, so that short trial runs work.

    ``launch.build_runner`` adds this hook to every run.

    Raises:
        ValueError: Before training, if an epoch would never end, or a schedule would end the run.
    """

    priority = 'LOW'  # after what a checkpoint has brought along

    def before_train(self, runner: Runner) -> None:
        """Check the schedules, the sampler and the checkpoints of the run."""
        by_epoch = not isinstance(runner.train_loop, IterBasedTrainLoop)
        if by_epoch:
            _check_sampler(runner.train_dataloader)
        for warning in [*contradictions(runner), *_saving(runner, by_epoch)]:
            runner.logger.warning(warning)


def _check_sampler(loader: Any) -> None:
    sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
    if isinstance(sampler, InfiniteSampler):
        raise ValueError(
            'EpochBasedTrainLoop needs a sampler that comes to an end, such as DefaultSampler, got '
            f'{type(sampler).__name__}: no epoch would end, and nothing would be saved'
        )


def contradictions(runner: Runner) -> Iterator[str]:
    """Describe the schedules that do not fit the length of the run, one sentence each."""
    by_epoch = not isinstance(runner.train_loop, IterBasedTrainLoop)
    fraction: float | None = next(
        (h.cosine_fraction for h in runner.hooks if hasattr(h, 'cosine_fraction')), 1.0
    )
    if runner.cfg.get(OPTION):  # the authors' cosines are cut off
        fraction = None
    ends: dict[str, float] = {}
    for scheduler in all_schedulers(runner):
        name = f'{type(scheduler).__name__} of {subject(scheduler.param_name)}'
        if scheduler.by_epoch and not by_epoch:
            yield (
                f'{name} counts epochs (by_epoch=True, the default), the run counts iterations, so '
                'it never moves: set by_epoch=False'
            )
            continue
        if getattr(scheduler, 'need_val_args', False):
            continue  # follows a metric, not the run
        length = runner.max_epochs if scheduler.by_epoch else runner.max_iters
        unit = 'epochs' if scheduler.by_epoch else 'iterations'
        for fault in _faults(scheduler, length, fraction):
            yield f'{name} {fault} (in {unit}; the run ends at {length})'
        if not _is_warmup(scheduler):
            share = min(scheduler.end / length, 1.0)
            ends[scheduler.param_name] = max(ends.get(scheduler.param_name, 0.0), share)
    for param_name, share in ends.items():
        if share < 1:
            yield (
                f'{subject(param_name)} stands still from {share:.0%} of the run on, where its '
                'schedules end: leave out their end to have them follow the length of the run'
            )


def _faults(scheduler: Any, length: int, fraction: float | None) -> Iterator[str]:
    """Describe what is wrong with one schedule in a run of this length."""
    begin, end = scheduler.begin, scheduler.end
    if begin >= length:
        yield f'begins at {begin}: it never begins'
        return
    if _is_warmup(scheduler) and end >= length:
        yield f'ends at {end}: the run never leaves the warm-up'
        return
    if length < end < UNBOUNDED:
        yield f'ends at {end}: it is cut off on the way'
    span = min(end, length) - begin
    period = getattr(scheduler, 'T_max', None)
    off = fraction is not None and period is not None
    if off and abs(span / period - fraction) > TOLERANCE:
        yield (
            f'goes through {span / period:.0%} of its cosine of T_max={period:.10g}, where '
            f'{fraction:.0%} is expected'
        )
    milestones = sorted(begin + step for step in getattr(scheduler, 'milestones', ()))
    if milestones and milestones[-1] >= length:
        yield f'has milestones at {milestones}: some come too late'
    elif milestones and milestones[-1] < EARLY * length:
        yield f'has milestones at {milestones}: are these epochs?'
    periods = getattr(scheduler, 'periods', None)
    if periods is not None and sum(periods) < span:
        yield f'has periods that end at {begin + sum(periods)}: it stands still from there'
    steps = getattr(scheduler, 'total_steps', None)
    if steps is not None and steps < span - 1:
        raise ValueError(
            f'{type(scheduler).__name__} has total_steps={steps} and would end the run there, '
            f'which has {span} of them: leave it out'
        )


def _is_warmup(scheduler: Any) -> bool:
    """Tell whether a scheduler is a factor that grows to 1 from the start of the run."""
    if scheduler.begin > 0:
        return False
    if hasattr(scheduler, 'factor'):  # constant, then 1
        return True
    return getattr(scheduler, 'start_factor', 1) < getattr(scheduler, 'end_factor', 1)


def _saving(runner: Runner, by_epoch: bool) -> Iterator[str]:
    accumulated = (runner.cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    for hook in runner.hooks:
        if not isinstance(hook, CheckpointHook):
            continue
        if hook.by_epoch and not by_epoch:
            yield (
                'CheckpointHook counts epochs (by_epoch=True, the default), the run counts '
                'iterations, so it saves once, at the end: set by_epoch=False'
            )
        elif hook.interval <= 0 and not hook.save_last:
            yield 'CheckpointHook saves nothing: set its interval, or save_last=True'
        elif hook.interval > 0:
            every = hook.interval * (len(runner.train_dataloader) if hook.by_epoch else 1)
            if every % accumulated:
                yield (
                    f'CheckpointHook saves every {every} iterations, a step takes {accumulated} '
                    '(optim_wrapper.accumulative_counts): resuming within a step loses gradients'
                )
        if hook.save_best and runner.val_loop is None:
            yield f'CheckpointHook has save_best={hook.save_best}, the run has no validation'
