"""Runs of one weight with a scripted metric: what a run does with files, schedules and states."""

import copy
import itertools

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from torch.utils.data import Dataset

import poa_mm  # noqa: F401  # registers the package's classes
from poa_mm.engine import launch

IMAGES = 8
_numbers = itertools.count()


@DATASETS.register_module(force=True)
class Ones(Dataset):
    def __init__(self, classes=('one', 'two')):
        self.metainfo = {'classes': classes}

    def __len__(self):
        return IMAGES

    def __getitem__(self, index):
        return {'inputs': torch.ones(2) * (index + 1)}


@MODELS.register_module(force=True)
class OneLine(BaseModel):
    def __init__(self, features=2):
        super().__init__()
        self.line = torch.nn.Linear(features, 1)

    def forward(self, inputs, mode):
        loss = (self.line(torch.stack(list(inputs))) - 1).square().mean()
        return {'loss': loss} if mode == 'loss' else [0] * len(inputs)


@METRICS.register_module(force=True)
class Scripted(BaseMetric):
    """Returns the scores it is given, one a validation; the last one from then on."""

    def __init__(self, scores, name='score'):
        super().__init__()
        self.scores, self.name = list(scores), name

    def process(self, data_batch, data_samples):
        self.results += [0] * len(data_samples)

    def compute_metrics(self, results):
        return {self.name: self.scores.pop(0) if len(self.scores) > 1 else self.scores[0]}


class Rates(Hook):
    """Keeps the rate of each iteration."""

    def __init__(self):
        self.rates = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        groups = runner.optim_wrapper.optimizer.param_groups
        self.rates[runner.iter] = (groups[0]['lr'], groups[0]['weight_decay'])


def loader(**changes):
    sampler = {'type': 'InfiniteSampler', 'shuffle': False}
    return {
        'batch_size': 2,
        'num_workers': 0,
        'dataset': {'type': 'Ones'},
        'sampler': sampler,
        **changes,
    }


def config(work_dir, iters=4, scores=None, **changes):
    """A config; ``changes`` have dotted keys as keywords, ``scores`` are those of validations."""
    hook = {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 2}
    cfg = {
        'default_scope': 'mmengine',
        'work_dir': str(work_dir),
        'experiment_name': f'line-{next(_numbers)}',
        'model': {'type': 'OneLine'},
        'train_dataloader': loader(),
        'train_cfg': {'type': 'IterBasedTrainLoop', 'max_iters': iters, 'val_interval': 2},
        'optim_wrapper': {'optimizer': {'type': 'AdamW', 'lr': 0.1, 'weight_decay': 0.01}},
        'param_scheduler': [{'type': 'PolyLR', 'by_epoch': False, 'end': iters}],
        'default_hooks': {'checkpoint': hook, 'logger': {'type': 'LoggerHook', 'interval': 1}},
        'log_processor': {'by_epoch': False},
        'randomness': {'seed': 0},
        'log_level': 'WARNING',
    }
    if scores is not None:
        cfg['val_dataloader'] = loader(sampler={'type': 'DefaultSampler', 'shuffle': False})
        cfg['val_cfg'] = {'type': 'ValLoop'}
        cfg['val_evaluator'] = {'type': 'Scripted', 'scores': list(scores)}
        hook['save_best'], hook['rule'] = 'score', 'greater'
    cfg = Config(cfg)
    changes = copy.deepcopy(changes)  # mmengine takes keys out
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in changes.items()})
    return cfg


def by_epochs(epochs):
    """Changes to a run of so many epochs of four iterations."""
    return {
        'train_cfg': {
            'type': 'EpochBasedTrainLoop',
            'max_epochs': epochs,
            'val_interval': 1,
            '_delete_': True,
        },
        'train_dataloader__sampler': {'type': 'DefaultSampler', 'shuffle': False, '_delete_': True},
        'default_hooks__checkpoint__by_epoch': True,
        'default_hooks__checkpoint__interval': 1,
        'log_processor__by_epoch': True,
    }


def train(work_dir, resume=None, **changes):
    """Run as tools/train.py would; the runner and the rates of its iterations."""
    cfg = config(work_dir, **changes)
    launch.set_resume(cfg, resume)
    rates = Rates()
    runner = launch.build_runner(cfg)
    runner.register_hook(rates)
    runner.train()
    return runner, rates.rates


def log_of(work_dir):
    """All that runs have logged into a folder."""
    return ''.join(path.read_text() for path in sorted(work_dir.rglob('*.log')))


def warnings_of(work_dir):
    """What warnings say, one each."""
    lines = log_of(work_dir).splitlines()
    return [line.partition(' - WARNING - ')[2] for line in lines if ' - WARNING - ' in line]


def names(folder, pattern='*.pth*'):
    return sorted(path.name for path in folder.glob(pattern))
