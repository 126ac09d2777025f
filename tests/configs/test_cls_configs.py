"""The classification configs against the protocol, written down once more."""

import ast
import functools
import re

import numpy as np
import pytest
import torch
import yaml
from helpers import ROOT, load_config
from mmcv.cnn.bricks.drop import DropPath
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from tiny.classification import draw

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.engine.run_length import merge_options
from poa_mm.registry import DATASETS

FOLDER = ROOT / 'configs' / 'cls'
# Epochs, images a GPU, learning rate, layer decay, drop path.
FINETUNE = {
    'vit-s': (200, 256, 2e-3, 0.55, 0.1),
    'vit-b': (100, 256, 7e-4, 0.4, 0.2),
    'vit-l': (50, 256, 1.8e-3, 0.6, 0.2),
    'swin-t': (200, 128, 1.4e-3, 0.6, 0.1),
    'swin-s': (100, 128, 1e-3, 0.4, 0.2),
    'swin-b': (50, 64, 7e-4, 0.55, 0.2),
    'resnet-50': (100, 128, 1.4e-3, 0.6, 0.0),
    'resnet-101': (100, 128, 1e-3, 0.4, 0.0),
    'resnet-152': (100, 64, 7e-4, 0.45, 0.0),
}
FEATURES = {
    'vit-s': 384,
    'vit-b': 768,
    'vit-l': 1024,
    'swin-t': 768,
    'swin-s': 768,
    'swin-b': 1024,
    **dict.fromkeys(('resnet-50', 'resnet-101', 'resnet-152'), 3584),
}
BLOCKS = {'vit-s': 12, 'vit-b': 12, 'vit-l': 24, 'swin-t': 12, 'swin-s': 24, 'swin-b': 24}
# Learning rates by depth, the stem first, the head last: mmpretrain's groups of blocks.
GROUPS = {'resnet-50': (1, 2, 2, 1), 'resnet-101': (1, 2, 8, 1), 'resnet-152': (1, 2, 9, 1)}


def load(name, **options):
    cfg = load_config(f'cls/{name}.py')
    merge_options(cfg, {key.replace('__', '.'): value for key, value in options.items()})
    return cfg


@functools.cache
def build(name):
    """The classifier of a config, at full size, without memory for its weights."""
    return build_on_meta(load(name).model)


@functools.cache
def build_supernet(run):
    return build_on_meta(load_config(f'pretrain/{run}.py').model.backbone)


@pytest.mark.parametrize('size', FINETUNE)
def test_a_docstring_says_what_fine_tuning_is_for(size):
    path = FOLDER / f'finetune_poa_{size}.py'
    text = ast.get_docstring(ast.parse(path.read_text()))
    paper = 'Sec. D.2' if 'vit' in size else 'Table 10'
    assert re.search(rf'^Paper: {paper}; expected top-1 \d\d\.\d \(', text, re.MULTILINE)
    assert f'\nCommand: tools/dist_train.sh configs/cls/{path.name} 8' in text
    assert f'\nHardware: 8 GPUs × {FINETUNE[size][1]} images, bfloat16' in text
    assert '\nOfficial: --cfg-options official=True' in text


@pytest.mark.parametrize('size', FINETUNE)
def test_fine_tuning(size):
    epochs, batch, lr, decay, drop_path = FINETUNE[size]
    cfg = load(f'finetune_poa_{size}')
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (epochs, batch)
    assert cfg.auto_scale_lr == {'enable': False, 'base_batch_size': 8 * batch}
    assert cfg.optim_wrapper.optimizer == {
        'type': 'AdamW',
        'lr': lr,
        'betas': (0.9, 0.999),
        'eps': 1e-8,
        'weight_decay': 0.05,
    }
    assert cfg.optim_wrapper.get('clip_grad') is None
    assert cfg.optim_wrapper.paramwise_cfg == {'layer_decay': decay}
    assert cfg.model.backbone.drop_path_rate == drop_path
    warmup, cosine = cfg.param_scheduler
    assert (warmup.begin, warmup.end, cosine.begin, cosine.end) == (
        *(0, epochs // 10, epochs // 10, epochs),
    )
    assert cosine.eta_min_ratio * lr == pytest.approx(1e-6)
    assert all(s.by_epoch and s.convert_to_iter_based for s in cfg.param_scheduler)
    augments = {a.type: a.alpha for a in cfg.model.train_cfg.augments}
    assert augments == {'Mixup': 0.8, 'CutMix': 1.0}
    assert cfg.model.head.loss == {'type': 'LabelSmoothLoss', 'label_smooth_val': 0.1}
    (ema,) = [hook for hook in cfg.custom_hooks if 'EMA' in hook.type]
    assert 1 - ema.momentum == pytest.approx(0.7)
    steps = {t.type: t for t in cfg.train_dataloader.dataset.pipeline}
    rand, erase = steps['RandAugment'], steps['RandomErasing']
    assert (rand.policies, rand.num_policies) == ('timm_increasing', 2)
    assert (rand.magnitude_level, rand.magnitude_std) == (9, 0.5)
    assert (erase.erase_prob, erase.mode) == (0.25, 'rand')
    assert cfg.default_hooks.checkpoint.save_best == 'accuracy/top1'


@pytest.mark.parametrize('size', FINETUNE)
def test_linear_classifiers(size):
    cfg = load(f'linear_poa_{size}')
    batch = cfg.train_dataloader.batch_size
    assert 8 * batch == cfg.auto_scale_lr.base_batch_size == 2048
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer == {'type': 'SGD', 'lr': 0.08, 'momentum': 0.9, 'weight_decay': 0.0}
    assert optimizer.lr * 256 / 2048 in (1e-5, 2e-5, 5e-5, 1e-4, 1e-3, 1e-2, 2e-2, 5e-2, 0.1)
    (cosine,) = cfg.param_scheduler
    assert (cosine.eta_min, cosine.begin, cosine.end, cosine.by_epoch) == (0.0, 0, 12_500, False)
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (10 * 1250, 1250)
    kinds = [t.type for t in cfg.train_dataloader.dataset.pipeline]
    assert kinds == ['SeedByPosition', 'RandomResizedCrop', 'RandomFlip', 'PackInputs']
    assert cfg.model.head.loss == {'type': 'CrossEntropyLoss'}
    model = build(f'linear_poa_{size}')
    assert not any(p.requires_grad for p in model.backbone.parameters())
    width = 2048 if 'resnet' in size else FEATURES[size]
    assert tuple(model.head.fc.weight.shape) == (1000, width)
    assert not [m for m in model.modules() if isinstance(m, DropPath) and m.drop_prob]
    ours, theirs = cfg.model.backbone, load(f'finetune_poa_{size}').model.backbone
    assert all(ours[key] == theirs[key] for key in ('type', 'init_cfg'))
    assert ours.get('arch', ours.get('depth')) == theirs.get('arch', theirs.get('depth'))
    text = ast.get_docstring(ast.parse((FOLDER / f'linear_poa_{size}.py').read_text()))
    assert f'\nCommand: tools/dist_train.sh configs/cls/linear_poa_{size}.py 8\n' in text


@pytest.mark.parametrize('size', FINETUNE)
def test_the_backbone_is_the_named_sub_network(size):
    """Of the supernet of the pre-training config that the checkpoint's path names."""
    model = build(f'finetune_poa_{size}')
    source = load(f'finetune_poa_{size}').model.backbone.init_cfg.checkpoint
    subnet, run = re.fullmatch(r'subnet://([\w-]+)@work_dirs/(.+)/iter_\d+\.pth', source).groups()
    pretraining = load_config(f'pretrain/{run}.py')
    assert subnet == size
    assert source.endswith(f'iter_{pretraining.train_cfg.max_iters}.pth')
    theirs = build_on_meta(build_supernet(run).subnet_cfg(subnet))
    ours, theirs = (
        {n: tuple(p.shape) for n, p in net.named_parameters()} for net in (model.backbone, theirs)
    )
    assert ours == theirs
    assert tuple(model.head.fc.weight.shape) == (1000, FEATURES[size])


@pytest.mark.parametrize('size', FINETUNE)
def test_drop_path_arrives_in_the_net(size):
    """In the blocks' own layers, rising linearly; a branch drops at once for one image."""
    rate = FINETUNE[size][-1]
    drops = [m for m in build(f'finetune_poa_{size}').modules() if isinstance(m, DropPath)]
    if not rate:
        assert not drops
        return
    rates = [float(drop.drop_prob) for drop in drops]
    expected = np.repeat(np.linspace(0, rate, BLOCKS[size]), 2)  # attention and MLP of each
    assert rates == pytest.approx(expected.tolist())


def test_drop_path_is_drawn_for_each_image():
    torch.manual_seed(0)
    kept = DropPath(0.5)(torch.ones(64, 3, 4))
    per_image = kept.flatten(1)
    assert (per_image == per_image[:, :1]).all()
    assert 16 < (per_image[:, 0] > 0).sum() < 48


def depth_of(size, name):
    """Place of a parameter, counted by hand, and the number of places."""
    if size in BLOCKS:
        last = BLOCKS[size] + 1
        if 'swin' in size:
            depths = [2, 2, 6 if size == 'swin-t' else 18, 2]
            match = re.match(r'backbone\.stages\.(\d)\.(blocks\.(\d+)|downsample)', name)
            if match:
                stage = int(match[1])
                # Patches are merged after the last block of a stage, and at its rate.
                block = depths[stage] - 1 if match[3] is None else int(match[3])
                return sum(depths[:stage]) + block + 1, last
        else:
            match = re.match(r'backbone\.layers\.(\d+)\.', name)
            if match:
                return int(match[1]) + 1, last
        stem = ('backbone.patch_embed', 'backbone.cls_token', 'backbone.pos_embed')
        return (0 if name.startswith(stem) else last), last
    groups = GROUPS[size]
    last = sum(groups) + 1
    match = re.match(r'backbone\.layer(\d)\.(\d+)\.', name)
    if match is None:
        return (0 if name.startswith('backbone') else last), last
    stage, block = int(match[1]) - 1, int(match[2])
    shared = {1: 2, 2: 3} if size != 'resnet-152' else {1: 4, 2: 4}
    return 1 + sum(groups[:stage]) + block // shared.get(stage, 100), last


@pytest.mark.parametrize('size', FINETUNE)
def test_rates_of_the_layers(size):
    _, _, lr, decay, _ = FINETUNE[size]
    cfg, model = load(f'finetune_poa_{size}'), build(f'finetune_poa_{size}')
    wrapper = {**cfg.optim_wrapper, 'type': 'OptimWrapper'}
    del wrapper['dtype']
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = build_optim_wrapper(model, wrapper).optimizer.param_groups
    found = {names[p]: (g['lr'], g['weight_decay']) for g in groups for p in g['params']}
    assert found.keys() == set(names.values())
    seen = set()
    for name, (rate, weight_decay) in found.items():
        depth, last = depth_of(size, name)
        seen.add(depth)
        assert rate == pytest.approx(lr * decay ** (last - depth)), name
        spared = name.endswith('bias') or model.get_parameter(name).ndim == 1
        spared |= re.search('cls_token|pos_embed|position_bias_table|gamma', name) is not None
        assert weight_decay == (0.0 if spared else 0.05), name
    assert seen == set(range(last + 1))


@pytest.mark.parametrize('size', ['vit-s', 'vit-b', 'swin-b', 'resnet-50'])
def test_official_is_the_run_of_the_authors_code(size):
    epochs = FINETUNE[size][0]
    plain, official = load(f'finetune_poa_{size}'), load(f'finetune_poa_{size}', official=True)
    assert official.param_scheduler[1].get('T_max', 180) == 200 - epochs // 10
    assert official.model.backbone.drop_path_rate == 0.0
    for cfg, kind in ((plain, 'bicubic'), (official, 'bilinear')):
        for loader in (cfg.val_dataloader, cfg.test_dataloader):
            assert loader.dataset.pipeline[0].interpolation == kind
    text = ast.get_docstring(ast.parse((FOLDER / f'finetune_poa_{size}.py').read_text()))
    said = text.partition('Official: ')[2]
    assert ('cosine of 200 epochs' in said) == (epochs != 200)
    assert ('no drop path' in said) == (plain.model.backbone.drop_path_rate > 0)


def rates_of(cfg, epoch_length=20):
    """Learning rate at each iteration, of a layer that trains at the full rate and of a low one."""
    lr, epochs = cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_epochs
    groups = [{'params': [torch.zeros(1, requires_grad=True)], 'lr': lr * f} for f in (1, 1e-4)]
    optimizer = torch.optim.SGD(groups, lr=lr)
    schedulers = [
        PARAM_SCHEDULERS.build({**s, 'optimizer': optimizer, 'epoch_length': epoch_length})
        for s in cfg.param_scheduler
    ]
    rates = []
    for _ in range(epochs * epoch_length):
        rates.append([group['lr'] for group in optimizer.param_groups])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return np.array(rates).T


@pytest.mark.parametrize(
    ('name', 'options', 'cosine'),
    [
        ('vit-l', {}, 45),
        ('vit-l', {'official': True}, 195),
        ('vit-s', {'train_cfg__max_epochs': 5}, 4.5),
        ('vit-b', {'train_cfg__max_epochs': 1}, 0.9),
        ('vit-b', {'train_cfg__max_epochs': 10, 'official': True}, 19),
    ],
)
def test_the_rate_follows_the_run_s_own_length(name, options, cosine):
    cfg = load(f'finetune_poa_{name}', **options)
    lr, epochs, steps = FINETUNE[name][2], cfg.train_cfg.max_epochs, 20
    full, low = rates_of(cfg, steps)
    warmup = int(epochs / 10 * steps)
    for step in range(epochs * steps):
        if step < warmup:
            expected = lr * max(step / (warmup - 1), 1e-6)
        else:
            angle = np.pi * (step - warmup) / (cosine * steps)
            expected = 1e-6 + (lr - 1e-6) * (1 + np.cos(angle)) / 2
        # mmengine steps a cosine from its second value on: it is one step late.
        assert full[step] == pytest.approx(expected, rel=1e-3, abs=lr / steps / cosine / 5), step
    assert low == pytest.approx(full * 1e-4)


def test_test_images_are_those_of_frozen_features(tmp_path):
    """To the bit, so that numbers of a linear probe and of a classifier are about one network."""
    draw(tmp_path, train=1)
    ours = load('finetune_poa_vit-s').val_dataloader.dataset
    theirs = load_config('pretrain/poa_vit-l.py').knn_test_dataset
    made = [
        DATASETS.build({**cfg, 'data_root': str(tmp_path / 'val')})[0]['inputs']
        for cfg in (ours, theirs)
    ]
    assert made[0].shape == (3, 224, 224)
    assert torch.equal(made[0].flip(0), made[1])


NAMES = [f'{kind}_poa_{size}' for kind in ('finetune', 'linear') for size in FINETUNE]


def told(name):
    """What the docstring expects."""
    text = ast.get_docstring(ast.parse((FOLDER / f'{name}.py').read_text()))
    paper, top1 = re.search(r'\nPaper: (.+); expected top-1 (\d\d\.\d) \(', text).groups()
    return paper, float(top1)


def test_the_metafile_and_the_paper_state_what_the_configs_do():
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    ours = {m['Name']: m for m in models if m['Name'].startswith(('finetune', 'linear'))}
    assert ours.keys() == set(NAMES)
    for name, model in ours.items():
        cfg, metadata = load(name), model['Metadata']
        assert model['Config'] == f'configs/cls/{name}.py'
        assert metadata['Parameters'] == sum(p.numel() for p in build(name).parameters())
        length = metadata.get('Epochs', metadata.get('Iterations'))
        assert length == cfg.train_cfg.get('max_epochs', cfg.train_cfg.get('max_iters'))
        assert metadata['Batch Size'] == cfg.auto_scale_lr.base_batch_size
        (result,) = model['Results']
        assert result['Metrics']['Top 1 Accuracy'] == told(name)[1]


@pytest.mark.parametrize('name', NAMES)
def test_the_readme_states_what_the_configs_do(name):
    readme = (FOLDER / 'README.md').read_text()
    cfg, (paper, top1) = load(name), told(name)
    (line, counts) = re.findall(rf'^\| `{name}\.py` \|(.+)\|$', readme, re.MULTILINE)
    cells = [cell.strip() for cell in line.split('|')]
    assert cells[:2] == [paper, str(top1)]
    if name.startswith('finetune'):
        epochs, batch, lr, decay, drop_path = FINETUNE[name.removeprefix('finetune_poa_')]
        values = [float(cell) if cell != 'none' else 0.0 for cell in cells[2:]]
        assert values == [epochs, batch, lr, decay, drop_path]
    whole, trained, features, *_ = (cell.strip() for cell in counts.split('|'))
    parameters = [(p.numel(), p.requires_grad) for p in build(name).parameters()]
    assert float(whole) == pytest.approx(sum(n for n, _ in parameters) / 1e6, abs=0.006)
    assert float(trained) == pytest.approx(sum(n for n, t in parameters if t) / 1e6, abs=0.006)
    assert int(features) == cfg.model.head.in_channels
