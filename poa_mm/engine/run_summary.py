"""Summarise a run before it begins, and list its results and next steps when it ends."""

import shlex
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from poa_mm.datasets.description import describe
from poa_mm.engine.inner_model import inner_model

__all__ = [
    'log_file',
    'next_steps',
    'shown',
    'test_results',
    'test_summary',
    'train_results',
    'train_summary',
]


def train_summary(runner: Runner) -> str:
    """Summarise a training run: data, network, learning rate, length, paths."""
    lines = {'data': describe(runner.train_dataloader.dataset)}
    if runner.val_loop is not None:
        unit = 'epochs' if _counts_epochs(runner) else 'iterations'
        place = describe(runner.val_dataloader.dataset)
        lines['validation'] = f'{place}, every {runner.val_interval:,} {unit}'
    lines['network'] = _network(runner)
    lines['optimiser'] = _optimiser(runner)
    lines['length'] = _length(runner)
    lines['device'] = f'{_device(runner)}, {_precision(runner)}'
    lines['work dir'] = shown(runner.work_dir)
    if runner.iter:
        lines['resumed'] = f'after iteration {runner.iter:,}, from {runner.cfg.get("load_from")}'
    return _table(lines)


def test_summary(runner: Runner) -> str:
    """Summarise a test: data, network, paths."""
    lines = {
        'data': describe(runner.test_dataloader.dataset),
        'network': _network(runner),
        'checkpoint': str(runner.cfg.get('load_from')),
        'device': _device(runner),
    }
    return _table(lines)


def test_results(runner: Runner) -> str:
    """Say where a test has written its scores."""
    return f'scores and log in {shown(runner.log_dir)}'


def train_results(runner: Runner) -> str:
    """Say which files a training run has written, and where."""
    info = runner.message_hub.runtime_info
    best = {
        name.removesuffix('_ckpt').replace('_ckpt_', ' '): shown(path)
        for name, path in info.items()
        if name.startswith('best_ckpt')
    }
    lines = {'last': shown(info['last_ckpt']) if info.get('last_ckpt') else 'none saved', **best}
    lines['log'] = shown(log_file(runner))
    if any(Path(runner.log_dir).rglob('events.*')):
        lines['curves'] = f'tensorboard --logdir {shown(runner.work_dir)}'
    return _table(lines)


def next_steps(runner: Runner) -> str:
    """List commands to evaluate or use the result of a training run."""
    info = runner.message_hub.runtime_info
    best = next((path for name, path in info.items() if name.startswith('best_ckpt')), None)
    checkpoint = best or info.get('last_ckpt')
    model = _model(runner)
    if checkpoint is None or type(model).__name__ == 'SweepEncoderDecoder':
        return ''  # the sweep's tool knows better
    path = shown(checkpoint)
    if hasattr(model, 'teacher'):
        half = f'{model.backbone.num_params() / 2e6:.3g}M'
        steps = {
            'accuracy of every sub-network': ['eval_knn.py', path],
            'the best one within a budget': ['pick_subnet.py', path, '--max-params', half],
            'one of them as a stock backbone': ['extract_subnet.py', path, 'smallest'],
        }
    elif runner.cfg.get('test_dataloader'):
        # The config as it was run, with all options.
        config = Path(runner.work_dir) / Path(runner.cfg.filename or f'{runner.timestamp}.py').name
        steps = {'scores on the test set': ['test.py', shown(config), path]}
    else:
        return ''
    commands = {text: _command(*words) for text, words in steps.items()}
    width = max(map(len, commands.values()))
    lines = [f'  {command:{width}}  # {text}' for text, command in commands.items()]
    return '\n'.join(['next:', *lines])


def _command(tool: str, *arguments: str) -> str:
    """Write a command line for one of the tools, with the path of the running one."""
    folder = Path(sys.argv[0]).parent
    path = folder / tool if (folder / tool).is_file() else Path('tools') / tool
    return shlex.join(['python', str(path), *arguments])


def log_file(runner: Runner) -> str:
    """Return the path of the log file."""
    return str(Path(runner.log_dir) / f'{runner.timestamp}.log')


def shown(path: Any) -> str:
    """Write a path relative to the current folder, if it lies below it."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _device(runner: Runner) -> str:
    device = next(runner.model.parameters()).device
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else 'CPU'
    return f'{runner.world_size} × {name}' if runner.world_size > 1 else name


def _precision(runner: Runner) -> str:
    wrapper: Any = runner.optim_wrapper
    return str(wrapper.cast_dtype) if isinstance(wrapper, AmpOptimWrapper) else 'float32'


def _network(runner: Runner) -> str:
    model = _model(runner)
    backbone: Any = getattr(model, 'backbone', None)
    kind = type(model).__name__
    if backbone is not None:
        kind += f' with {type(backbone).__name__}'
    space = getattr(backbone, 'space', None)
    if space is not None:
        ends = (
            f'{s} ({_millions(backbone.num_params(s))})' for s in (space.smallest, space.largest)
        )
        return f'{kind}: {len(space)} sub-networks, {" to ".join(ends)}'
    parameters = list(model.parameters())
    total = sum(parameter.numel() for parameter in parameters)
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    share = '' if trained == total else f', {_millions(trained)} of them train'
    return f'{kind}: {_millions(total)} parameters{share}'


def _optimiser(runner: Runner) -> str:
    wrapper: Any = runner.optim_wrapper
    rates = {group.get('initial_lr', group['lr']) for group in wrapper.param_groups}
    shown_rates = f'learning rate {max(rates):.4g}'
    if len(rates) > 1:
        shown_rates = f'learning rates from {min(rates):.4g} to {max(rates):.4g}'
    return f'{type(wrapper.optimizer).__name__}, {shown_rates}'


def _length(runner: Runner) -> str:
    cfg: Any = runner.cfg
    batch = cfg.train_dataloader.get('batch_size') or 1
    processes = runner.world_size
    of_each = f' ({batch} × {processes} processes)' if processes > 1 else ''
    text = f'of {batch * processes} images{of_each}'
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    if accumulated > 1:
        text += f', a step every {accumulated} of them'
    if _counts_epochs(runner):
        return f'{runner.max_epochs} epochs of {len(runner.train_dataloader):,} iterations {text}'
    images = len(runner.train_dataloader.dataset)
    passes = runner.max_iters * batch * processes / images
    return f'{runner.max_iters:,} iterations {text}: {passes:.3g} passes over the data'


def _counts_epochs(runner: Runner) -> bool:
    return isinstance(runner.train_loop, EpochBasedTrainLoop)


def _model(runner: Runner) -> Any:
    model: Any = runner.model
    return inner_model(model)


def _millions(number: int) -> str:
    return f'{number / 1e6:.2f} M'


def _table(lines: dict[str, str]) -> str:
    width = max(map(len, lines))
    return '\n'.join(f'{name:{width}}  {text}' for name, text in lines.items())
