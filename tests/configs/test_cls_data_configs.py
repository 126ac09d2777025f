"""The configs of semi-supervised and transfer learning against the protocols."""

import ast

import pytest
import torch
import yaml
from helpers import ROOT, load_config
from mmengine.dataset import default_collate
from mmengine.registry import DATA_SAMPLERS
from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.registry import MODELS
from tiny.classification import SIDE, draw, shrink
from tiny.transfer import save_cars, save_cifar, save_flowers, save_inaturalist

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.engine.run_length import merge_options
from poa_mm.registry import DATASETS

FOLDER = ROOT / 'configs' / 'cls'
# Top-1 of the paper with 1 % and 10 % of the labels.
SEMISUP = {'vit-s': (68.2, 75.9), 'resnet-50': (61.8, 73.1)}
# Classes, epochs; top-1, learning rate for 512 images and layer decay of ViT-S and ViT-B.
TRANSFER = {
    'cifar10': (10, 1000, (99.1, 99.4), (8e-6, 7.5e-6), (0.9, 0.9)),
    'cifar100': (100, 1000, (90.7, 92.6), (9e-6, 7.5e-6), (0.85, 0.8)),
    'inat18': (8142, 360, (74.2, 76.2), (4e-4, 2e-4), (0.8, 0.75)),
    'inat19': (1010, 360, (79.1, 81.7), (7e-5, 4e-5), (0.85, 0.75)),
    'flowers': (102, 1000, (98.4, 98.8), (6e-4, 5e-4), (0.6, 0.7)),
    'cars': (196, 1000, (94.2, 94.6), (4e-4, 3e-4), (0.8, 0.7)),
}
WIDTHS = {'vit-s': 384, 'vit-b': 768}


def load(name, **options):
    cfg = load_config(f'cls/{name}.py')
    merge_options(cfg, options)
    return cfg


def docstring(name):
    return ast.get_docstring(ast.parse((FOLDER / f'{name}.py').read_text()))


def hooks(cfg):
    return [hook.type for hook in cfg.custom_hooks]


@pytest.mark.parametrize('size', SEMISUP)
@pytest.mark.parametrize('percent', [1, 10])
def test_semisup(size, percent):
    name = f'semisup_poa_{size}_{percent}percent'
    cfg = load(name)
    text = docstring(name)
    assert f'Sec. D.3; expected top-1 {SEMISUP[size][percent == 10]} (' in text
    assert f'{name}.py 8\nHardware: 8 GPUs × 128 images, bfloat16' in text
    assert cfg.train_dataloader.dataset.subset == f'data/imagenet/{percent}percent.txt'
    assert 'subset' not in cfg.val_dataloader.dataset
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (1000, 128)
    assert cfg.auto_scale_lr.base_batch_size == 1024
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(1e-5)
    assert cfg.optim_wrapper.optimizer.weight_decay == 0.05
    assert cfg.optim_wrapper.paramwise_cfg == {'layer_decay': 1.0}
    assert cfg.model.backbone.drop_path_rate == (0.1 if size == 'vit-s' else 0)
    warmup, cosine = cfg.param_scheduler
    assert (warmup.begin, warmup.end, cosine.begin, cosine.end) == (0, 5, 5, 1000)
    assert warmup.start_factor * 1e-5 == pytest.approx(1e-6)
    assert cosine.eta_min_ratio * 1e-5 == pytest.approx(1e-6)
    augments = {a.type: a.alpha for a in cfg.model.train_cfg.augments}
    assert augments == {'Mixup': 0.8, 'CutMix': 1.0}
    assert cfg.model.head.loss.label_smooth_val == 0.1
    model = build_on_meta(cfg.model)
    shapes = [tuple(layer.fc.weight.shape) for layer in model.head.layers]
    assert shapes == [(2048, 384 if size == 'vit-s' else 2048), (1000, 2048)]
    assert isinstance(model.head.layers[0].act, torch.nn.GELU)


@pytest.mark.parametrize('size', SEMISUP)
def test_official_semisup_keeps_the_rate_and_tests_the_last_weights(size):
    plain = load(f'semisup_poa_{size}_1percent')
    official = load(f'semisup_poa_{size}_1percent', official=True)
    assert official.param_scheduler[1].eta_min_ratio == 1.0
    assert [hook for hook in hooks(plain) if hook not in hooks(official)] == ['StepEMAHook']
    for cfg in (plain, official):  # the resize is bicubic in this protocol
        assert cfg.val_dataloader.dataset.pipeline[0].interpolation == 'bicubic'
    assert official.model.backbone.drop_path_rate == plain.model.backbone.drop_path_rate


@pytest.mark.parametrize('data', TRANSFER)
@pytest.mark.parametrize('size', WIDTHS)
def test_transfer(size, data):
    classes, epochs, top1, rates, decays = TRANSFER[data]
    large = size == 'vit-b'
    name = f'transfer_poa_{size}_{data}'
    cfg, text = load(name), docstring(name)
    assert f'Table 12; expected top-1 {top1[large]} (' in text
    assert f'{name}.py 8\nHardware: 8 GPUs × 96 images, bfloat16' in text
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (epochs, 96)
    assert cfg.auto_scale_lr.base_batch_size == 768
    lr = rates[large] * 768 / 512
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(lr)
    assert cfg.optim_wrapper.optimizer.weight_decay == 0.05
    assert cfg.optim_wrapper.paramwise_cfg == {'layer_decay': decays[large]}
    warmup, cosine = cfg.param_scheduler
    assert (warmup.begin, warmup.end, cosine.begin, cosine.end) == (0, 5, 5, epochs)
    assert warmup.start_factor * lr == pytest.approx(1e-6)
    assert cosine.eta_min_ratio * lr == pytest.approx(1e-5)
    assert cfg.train_dataloader.sampler.num_repeats == 3
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert steps['RandomErasing'].erase_prob == 0.1
    assert (steps['RandAugment'].magnitude_level, steps['RandomResizedCrop'].scale) == (9, 224)
    assert cfg.randomness.seed == 1024
    (ema,) = [hook for hook in cfg.custom_hooks if hook.type == 'StepEMAHook']
    assert ema.momentum == pytest.approx(0.3)
    assert cfg.val_dataloader == cfg.test_dataloader
    assert cfg.val_dataloader.dataset.test_mode
    model = build_on_meta(cfg.model)
    assert tuple(model.head.fc.weight.shape) == (classes, WIDTHS[size])
    assert len(model.backbone.layers) == 12
    assert cfg.model.backbone.init_cfg.checkpoint.startswith(f'subnet://{size}@work_dirs/poa_vit-l')
    assert cfg.model.backbone.drop_path_rate == (0.2 if large else 0.1)


@pytest.mark.parametrize('data', TRANSFER)
def test_official_transfer(data):
    plain, official = (load(f'transfer_poa_vit-b_{data}', **o) for o in ({}, {'official': True}))
    assert official.model.backbone.drop_path_rate == 0.0
    assert official.test_dataloader.dataset.pipeline[0].interpolation == 'bilinear'
    names = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    splits = [[cfg[name].dataset.get('split') for name in names] for cfg in (plain, official)]
    if data == 'flowers':
        assert splits == [['trainval', 'test', 'test'], ['train', 'val', 'val']]
    else:
        assert splits[0] == splits[1]


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Small data sets in their own formats."""
    root = tmp_path_factory.mktemp('transfer')
    with pytest.MonkeyPatch.context() as patch:
        save_cifar(root / 'cifar10', CIFAR10, patch)
        save_cifar(root / 'cifar100', CIFAR100, patch)
        save_inaturalist(root / 'inat18', 2018)
        save_inaturalist(root / 'inat19', 2019)
        save_flowers(root / 'flowers', classes=3)
        save_cars(root / 'cars')
        draw(root / 'imagenet')
        names = [f'{name}/{number}.png' for name in ('blue', 'green', 'red') for number in (1, 3)]
        (root / 'imagenet' / '1percent.txt').write_text('\n'.join(names))
        yield root


def first_batch(cfg, kind):
    """Images and labels as the sampler of a config orders them."""
    loader = cfg[f'{kind}_dataloader']
    dataset = DATASETS.build(loader.dataset)
    sampler = DATA_SAMPLERS.build({**loader.sampler, 'dataset': dataset, 'seed': 0})
    indices = list(sampler)[:6]
    return dataset, indices, default_collate([dataset[index] for index in indices])


def small(cfg, family):
    """Shrink network and images; return the number of classes of the data."""
    classes = cfg.model.head.num_classes
    shrink(cfg.model, family)
    for name in ('train_dataloader', 'val_dataloader'):
        for step in cfg[name].dataset.pipeline:
            if step.type in ('RandomResizedCrop', 'ResizeEdge'):
                step.scale = SIDE[family]
            elif step.type == 'CenterCrop':
                step.crop_size = SIDE[family]
    return classes


def step(cfg, train, val):
    """Train on a batch, predict another; return the loss and the predictions."""
    torch.manual_seed(0)
    model = MODELS.build({**cfg.model, 'data_preprocessor': None})
    preprocessor = {**cfg.model.data_preprocessor, 'num_classes': cfg.model.head.num_classes}
    model.data_preprocessor = MODELS.build({**preprocessor, 'batch_augments': cfg.model.train_cfg})
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    loss = model(**model.data_preprocessor(train, training=True), mode='loss')['loss']
    loss.backward()
    optimizer.step()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    return loss.item(), model(**model.data_preprocessor(val), mode='predict')


@pytest.mark.parametrize('data', TRANSFER)
def test_a_step_on_each_data_set(folders, data):
    cfg = load(f'transfer_poa_vit-s_{data}')
    classes = small(cfg, 'vit')
    for name in ('train_dataloader', 'val_dataloader'):
        cfg[name].dataset.data_root = str(folders / data)
    dataset, indices, train = first_batch(cfg, 'train')
    assert indices[:3] == [indices[0]] * 3
    assert not torch.equal(train['inputs'][0], train['inputs'][1])  # but cropped apart
    if 'inat' in data:  # its file has the classes
        classes = 3
    cfg.model.head.num_classes = classes
    assert len(dataset.CLASSES) == classes
    _, order, val = first_batch(cfg, 'val')
    assert order == list(range(len(order)))
    loss, predictions = step(cfg, train, val)
    assert 0 < loss < 20
    assert all(len(sample.pred_score) == classes for sample in predictions)


@pytest.mark.parametrize('size', SEMISUP)
def test_a_step_on_a_list(folders, size):
    cfg = load(f'semisup_poa_{size}_1percent')
    family = size.partition('-')[0]
    small(cfg, family)
    if family == 'resnet':
        cfg.model.head.in_channels = 256
    root = folders / 'imagenet'
    cfg.train_dataloader.dataset.update(
        data_root=str(root / 'train'), subset=str(root / '1percent.txt')
    )
    cfg.val_dataloader.dataset.data_root = str(root / 'val')
    dataset, _, train = first_batch(cfg, 'train')
    assert len(dataset) == 6
    assert sorted(int(sample.gt_label) for sample in train['data_samples']) == [0, 0, 1, 1, 2, 2]
    loss, predictions = step(cfg, train, first_batch(cfg, 'val')[2])
    assert 0 < loss < 5
    assert all(len(sample.pred_score) == 3 for sample in predictions)


def test_the_metafile_states_what_the_configs_build():
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    ours = {m['Name']: m for m in models if m['Name'].startswith(('semisup', 'transfer'))}
    paths = [path for kind in ('semisup', 'transfer') for path in FOLDER.glob(f'{kind}_*.py')]
    assert ours.keys() == {path.stem for path in paths}
    for name, model in ours.items():
        cfg, told = load(name), model['Metadata']
        assert model['Config'] == f'configs/cls/{name}.py'
        numbers = sum(parameter.numel() for parameter in build_on_meta(cfg.model).parameters())
        assert told['Parameters'] == numbers
        assert told['Epochs'] == cfg.train_cfg.max_epochs
        assert told['Batch Size'] == cfg.auto_scale_lr.base_batch_size
        (result,) = model['Results']
        top1 = result['Metrics']['Top 1 Accuracy']
        assert f'expected top-1 {top1} (' in docstring(name)
