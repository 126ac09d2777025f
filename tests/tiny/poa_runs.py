"""Training runs of milliseconds, on random crops that depend on the index alone."""

import itertools

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from poa_mm.registry import DATASETS
from tiny.networks import poa_config

BATCH, LENGTH = 2, 12
POA_HOOK = {
    'type': 'POAHook',
    'momentum': (0.5, 0.9),
    'temp_warmup_epochs': 1,
    'ibot_start_epoch': 0,
    'freeze_last_layer_epochs': 0,
}
_numbers = itertools.count()


@DATASETS.register_module(force=True)
class RandomCrops(Dataset):
    def __len__(self):
        return LENGTH

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        views = [torch.randn(3, size, size, generator=generator) for size in (16, 16, 8, 8)]
        return {'inputs': views, 'data_samples': index}


class Recorder(Hook):
    """Keeps, of each iteration, its number, what the model returned and what it was told.

    ``own_losses`` are those of this rank alone.
    """

    def __init__(self):
        self.rows = []
        self.own_losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        model = getattr(runner.model, 'module', runner.model)
        losses = {name: value.item() for name, value in outputs.items()}
        told = {'iter': runner.iter, 'step': model.step, 'teacher_temp': model.teacher_temp}
        self.rows.append({**told, **losses})
        self.own_losses.append(model.own_terms['loss'].item())


def training_config(work_dir, max_iters=4, **changes):
    """A config as ``tools/train.py`` would see it; ``changes`` have dotted keys as keywords."""
    cfg = Config(
        {
            'default_scope': 'mmpretrain',
            'work_dir': str(work_dir),
            'experiment_name': f'tiny-{next(_numbers)}',
            'model': poa_config(),
            'train_dataloader': {
                'batch_size': BATCH,
                'num_workers': 0,
                'dataset': {'type': 'RandomCrops'},
                'sampler': {'type': 'PositionSampler'},
                'collate_fn': {'type': 'default_collate'},
            },
            'train_cfg': {'type': 'IterBasedTrainLoop', 'max_iters': max_iters},
            'optim_wrapper': {
                'type': 'OptimWrapper',
                'optimizer': {'type': 'AdamW', 'lr': 0.01, 'weight_decay': 0.04},
                'constructor': 'LayerDecayConstructor',
                'paramwise_cfg': {'layer_decay': 0.9},
            },
            'param_scheduler': [
                {'type': 'CosineAnnealingLR', 'by_epoch': False, 'T_max': 8, 'eta_min': 1e-5}
            ],
            'custom_hooks': [
                dict(POA_HOOK),
                {'type': 'StepSeedHook'},
                {'type': 'SupernetInfoHook'},
                {'type': 'ThroughputHook'},
            ],
            'default_hooks': {
                'checkpoint': {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 3},
                'logger': {'type': 'LoggerHook', 'interval': 1, 'log_metric_by_epoch': False},
            },
            'log_processor': {'by_epoch': False, 'window_size': 1},
            'randomness': {'seed': 0},
            'log_level': 'ERROR',
        }
    )
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in changes.items()})
    return cfg


def make_runner(work_dir, **changes):
    """A runner and the recorder in it."""
    runner = Runner.from_cfg(training_config(work_dir, **changes))
    recorder = Recorder()
    runner.register_hook(recorder, priority='LOWEST')
    return runner, recorder
