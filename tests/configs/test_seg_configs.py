"""The segmentation configs against the protocol, written down once more."""

import ast
import copy
import functools
import re

import pytest
import torch
import yaml
from helpers import load_config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tiny.segmentation import FOLDER, draw, tiny_config

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.engine import launch

NAMES = sorted(path.stem for path in FOLDER.glob('*.py'))
FULL = [name for name in NAMES if 'tiny' not in name]
LINEAR = [name for name in FULL if name.startswith('linear')]
UPERNET = [name for name in FULL if name.startswith('upernet')]


def load(name):
    return load_config(f'seg/{name}.py')


@functools.cache
def build(name):
    """The model of a config, at full size, without memory for its weights."""
    return build_on_meta({**load(name).model, '_scope_': 'mmseg'})


@functools.cache
def build_supernet(run):
    """The supernet of a pre-training config, likewise."""
    return build_on_meta(load_config(f'pretrain/{run}.py').model.backbone)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def pipeline(cfg, kind='train'):
    return {t['type']: t for t in cfg[f'{kind}_dataloader'].dataset.pipeline}


def test_all_named_networks_have_a_config():
    sizes = {'vit': 'sbl', 'swin': 'tsb'}
    names = [f'{family}-{size}' for family, letters in sizes.items() for size in letters]
    names += ['resnet-50', 'resnet-101', 'resnet-152']
    assert {f'upernet_poa_{name}' for name in names} == set(UPERNET)
    assert {f'linear_poa_vit-{name}' for name in ('s', 'b', 'b_640', 'l', 'l_640')} == set(LINEAR)


@pytest.mark.parametrize('name', NAMES)
def test_a_docstring_says_what_it_is_for(name):
    text = ast.get_docstring(ast.parse((FOLDER / f'{name}.py').read_text()))
    for part in ('Paper: ', 'Command: ', 'Hardware: '):
        assert f'\n{part}' in text
    assert f'{name}.py' in text or 'benchmarks/' in text


@pytest.mark.parametrize('name', FULL)
def test_every_config_builds_at_full_size(name):
    cfg = load(name)
    model = build(name)
    assert model.num_classes == 150
    assert cfg.train_dataloader.dataset.type == 'ADE20KDataset'
    assert cfg.custom_imports.imports == ['poa_mm', 'poa_mm.segmentation.mmseg_modules']
    assert [hook.type.split('.')[-1] for hook in cfg.custom_hooks] == [
        'PretrainedCheckHook',
        'LabelCheckHook',
        'StepSeedHook',
    ]
    assert cfg.train_dataloader.sampler.type == 'PositionSampler'
    assert cfg.train_dataloader.dataset.pipeline[0].type == 'SeedByPosition'
    side = 640 if name.endswith('640') else 512
    crops = pipeline(cfg)
    assert crops['RandomResize']['scale'] == (4 * side, side)
    assert crops['RandomResize']['ratio_range'] == (0.5, 2.0)
    assert crops['RandomCrop']['crop_size'] == (side, side)
    assert crops['RandomCrop']['cat_max_ratio'] == 0.75
    assert crops['RandomFlip']['prob'] == 0.5
    assert 'PhotoMetricDistortion' in crops
    assert cfg.train_dataloader.dataset.reduce_zero_label
    assert cfg.val_dataloader.dataset.reduce_zero_label
    assert 'reduce_zero_label' not in crops['LoadAnnotations']  # the data set's word counts
    preprocessor = cfg.model.data_preprocessor
    assert tuple(preprocessor.size) == (side, side)
    assert (preprocessor.seg_pad_val, preprocessor.bgr_to_rgb) == (255, True)
    kinds = [t['type'] for t in cfg.test_dataloader.dataset.pipeline]
    assert kinds.index('Resize') < kinds.index('LoadAnnotations')  # masks keep their size
    assert pipeline(cfg, 'test')['Resize']['scale'] == (4 * side, side)
    assert cfg.model.test_cfg.mode == 'slide'
    assert tuple(cfg.model.test_cfg.crop_size) == (side, side)
    assert tuple(cfg.model.test_cfg.stride) == ((426, 426) if side == 640 else (341, 341))


@pytest.mark.parametrize('name', sorted({*NAMES} - {*FULL}))
def test_tiny_learning_rates_are_for_one_process(name):
    cfg = load(name)
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size
    assert not cfg.auto_scale_lr.enable


@pytest.mark.parametrize('name', FULL)
def test_iterations_and_optimiser(name):
    cfg = load(name)
    factor = 2 if name == 'linear_poa_vit-l_640' else 1
    batch = cfg.train_dataloader.batch_size * cfg.optim_wrapper.get('accumulative_counts', 1)
    assert batch * 8 == cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.train_cfg.max_iters == factor * 160_000
    assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == 16_000
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, tuple(optimizer.betas)) == ('AdamW', (0.9, 0.999))
    assert optimizer.weight_decay == (0.01 if 'swin' in name else 0.05)
    assert cfg.optim_wrapper.get('clip_grad') is None
    warmup, poly = cfg.param_scheduler
    assert (warmup.start_factor, warmup.begin, warmup.end) == (1e-6, 0, factor * 1500)
    assert (poly.power, poly.begin, poly.end) == (1.0, 0, factor * 160_000)
    assert not warmup.by_epoch
    assert not poly.by_epoch


@pytest.mark.parametrize(
    ('size', 'dim', 'lr', 'decay', 'drop_path', 'eta_min', 'blocks'),
    [
        ('s', 384, 6e-5, 0.8, 0.1, 0.0, [3, 5, 7, 11]),
        ('b', 768, 4e-5, 0.9, 0.15, 1e-7, [3, 5, 7, 11]),
        ('l', 1024, 2e-5, 0.95, 0.2, 0.0, [7, 11, 15, 23]),
    ],
)
def test_upernet_on_vit(size, dim, lr, decay, drop_path, eta_min, blocks):
    cfg = load(f'upernet_poa_vit-{size}')
    model = cfg.model
    assert cfg.optim_wrapper.optimizer.lr == lr
    assert cfg.optim_wrapper.type == 'OptimWrapper'  # float32
    assert cfg.optim_wrapper.paramwise_cfg == {'layer_decay': decay}
    assert cfg.param_scheduler[1].eta_min == eta_min
    assert model.backbone.out_indices == blocks
    assert model.backbone.drop_path_rate == drop_path
    assert model.backbone.init_cfg.checkpoint.startswith(f'subnet://vit-{size}@')
    assert not model.backbone.final_norm
    assert (model.decode_head.channels, model.decode_head.in_channels) == (dim, [dim] * 4)
    assert model.decode_head.pool_scales == (1, 2, 3, 6)
    assert model.decode_head.dropout_ratio == model.auxiliary_head.dropout_ratio == 0.1
    assert model.decode_head.norm_cfg.type == model.auxiliary_head.norm_cfg.type == 'SyncBN'
    assert model.decode_head.loss_decode.loss_weight == 1.0
    auxiliary = model.auxiliary_head
    assert (auxiliary.in_channels, auxiliary.in_index, auxiliary.channels) == (dim, 2, 256)
    assert (auxiliary.num_convs, auxiliary.loss_decode.loss_weight) == (1, 0.4)
    assert not model.decode_head.align_corners
    assert model.neck.rescales == [4, 2, 1, 0.5]


@pytest.mark.parametrize(('size', 'depth', 'decay'), [('s', 12, 0.8), ('b', 12, 0.9)])
def test_rates_of_the_layers(size, depth, decay):
    """The authors' rule: rate ** (depth + 1 − layer), 0 the embeddings, i + 1 block i."""
    cfg = load(f'upernet_poa_vit-{size}')
    model = build(f'upernet_poa_vit-{size}')
    base = cfg.optim_wrapper.optimizer.lr
    names = {parameter: name for name, parameter in model.named_parameters()}
    rates = {
        names[parameter]: group['lr'] / base
        for group in build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
        for parameter in group['params']
    }
    assert len(rates) == len(names)
    for name, rate in rates.items():
        block = re.match(r'backbone\.layers\.(\d+)\.', name)
        layer = int(block[1]) + 1 if block else 0 if name.startswith('backbone') else depth + 1
        assert rate == pytest.approx(decay ** (depth + 1 - layer)), name


@pytest.mark.parametrize(
    ('name', 'lr', 'channels', 'blocks', 'half'),
    [
        ('s', 3e-5, 1536, [3, 5, 7, 11], True),
        ('b', 7e-4, 3072, [3, 5, 7, 11], False),
        ('b_640', 3e-5, 3072, [3, 5, 7, 11], True),
        ('l', 2e-5, 4096, [7, 11, 15, 23], True),
        ('l_640', 2e-5, 4096, [7, 11, 15, 23], True),
    ],
)
def test_linear(name, lr, channels, blocks, half):
    cfg = load(f'linear_poa_vit-{name}')
    head = cfg.model.decode_head
    assert cfg.optim_wrapper.optimizer.lr == lr
    assert (cfg.optim_wrapper.type == 'AmpOptimWrapper') == half
    assert head.channels == sum(head.in_channels) == channels
    assert (head.num_convs, head.concat_input, head.dropout_ratio) == (0, False, 0)
    assert head.input_transform == 'resize_concat'
    assert cfg.model.backbone.out_indices == blocks
    model = build(f'linear_poa_vit-{name}')
    assert not model.with_neck
    assert not model.with_auxiliary_head
    held = names_in_optimizer(model, cfg)
    assert held == {'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias'}
    assert tuple(model.decode_head.conv_seg.weight.shape) == (150, channels, 1, 1)


def names_in_optimizer(model, cfg):
    """Names of the parameters that the optimiser holds."""
    wrapper = copy.deepcopy(cfg.optim_wrapper)
    wrapper.type = 'OptimWrapper'
    wrapper.pop('dtype', None)
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = build_optim_wrapper(model, wrapper).optimizer.param_groups
    return {names[parameter] for group in groups for parameter in group['params']}


@pytest.mark.parametrize('name', FULL)
def test_the_backbone_is_the_named_sub_network(name):
    """Of the supernet of the pre-training config that the checkpoint's path names."""
    backbone = build(name).backbone
    source = load(name).model.backbone.init_cfg.checkpoint
    subnet, run = re.fullmatch(r'subnet://([\w-]+)@work_dirs/(.+)/iter_\d+\.pth', source).groups()
    pretraining = load_config(f'pretrain/{run}.py')
    assert source.endswith(f'iter_{pretraining.train_cfg.max_iters}.pth')
    theirs = build_on_meta(build_supernet(run).subnet_cfg(subnet))
    ours, theirs = (
        {n: tuple(p.shape) for n, p in net.named_parameters()} for net in (backbone, theirs)
    )
    assert ours.pop('pos_embed', (1,))[-1] == theirs.pop('pos_embed', (1,))[-1]
    new = {n for n in ours if re.match(r'norm[012]\.', n)}  # of Swin's first stages
    unused = {'ln1.weight', 'ln1.bias'} & set(theirs)  # the final norm of a ViT
    assert ours.keys() - new == theirs.keys() - unused
    assert all(ours[n] == theirs[n] for n in ours.keys() - new)


@pytest.mark.parametrize('name', ['upernet_poa_swin-t', 'upernet_poa_resnet-50'])
def test_maps_of_four_stages_reach_the_head(name):
    cfg = load(name)
    cfg.model.backbone.init_cfg = None
    model = revert_sync_batchnorm(MODELS.build({**cfg.model, '_scope_': 'mmseg'})).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = model.extract_feat(images)
        assert [m.shape[2:] for m in maps] == [(64 // s, 96 // s) for s in (4, 8, 16, 32)]
        assert model(images).shape == (1, 150, 16, 24)


@pytest.mark.parametrize(('size', 'millions'), [('t', 60), ('s', 81), ('b', 121)])
def test_upernet_on_swin_has_the_size_of_the_swin_paper_s(size, millions):
    assert count(build(f'upernet_poa_swin-{size}')) / 1e6 == pytest.approx(millions, abs=0.5)


@pytest.mark.parametrize(
    ('depth', 'blocks'), [(50, (3, 4, 6, 3)), (101, (3, 4, 23, 3)), (152, (3, 8, 36, 3))]
)
def test_upernet_on_resnet(depth, blocks):
    model = build(f'upernet_poa_resnet-{depth}')
    assert tuple(len(getattr(model.backbone, f'layer{i}')) for i in (1, 2, 3, 4)) == blocks
    norms = {type(m) for n, m in model.backbone.named_modules() if n.endswith('gn1')}
    assert norms == {torch.nn.GroupNorm}


@pytest.mark.parametrize(
    ('name', 'factor'), [('upernet_poa_vit-s', 1), ('linear_poa_vit-l_640', 2)]
)
def test_the_rate_is_a_line_times_a_warm_up(name, factor):
    """What mmcv's poly policy with linear warm-up gave the authors."""
    cfg = load(name)
    lr, total, warmup = cfg.optim_wrapper.optimizer.lr, factor * 160_000, factor * 1500
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedulers = [
        PARAM_SCHEDULERS.build({**scheduler, 'optimizer': optimizer})
        for scheduler in copy.deepcopy(cfg.param_scheduler)
    ]
    rates = []
    for _ in range(3000 * factor):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    for step in (0, 1, 700, warmup - 1, warmup, 2 * warmup - 1):
        # mmengine ends a warm-up one step earlier than mmcv did.
        factor = min(1e-6 + (1 - 1e-6) * step / (warmup - 1), 1.0)
        assert rates[step] == pytest.approx(lr * factor * (1 - step / total), rel=1e-6)


@pytest.mark.parametrize(('name', 'mode'), [('linear_poa_vit-s', 'l'), ('upernet_poa_vit-s', 'u')])
def test_sliding_over_an_image_that_fits_the_window_is_one_look_at_it(name, mode, tmp_path):
    cfg = tiny_config(name, draw(tmp_path / 'data', number=2), tmp_path / mode)
    cfg.model.test_cfg.update(crop_size=(48, 64), stride=(32, 40))
    runner = launch.build_runner(cfg)
    model = runner.model.eval()
    batch = next(iter(runner.build_dataloader(cfg.test_dataloader)))

    def logits():
        (sample,) = model.test_step(copy.deepcopy(batch))
        return sample.seg_logits.data

    slide = logits()
    assert slide.std() > 1e-4
    model.test_cfg.crop_size = (32, 32)
    several = logits()
    model.test_cfg.mode = 'whole'
    assert torch.allclose(slide, logits(), atol=1e-6)
    assert not torch.allclose(slide, several, atol=1e-6)


@pytest.mark.parametrize(
    ('name', 'side'), [('upernet_poa_vit-s', 512), ('linear_poa_vit-b_640', 640)]
)
def test_time_augmentation_scales_the_test_scale(name, side):
    resizes, flips = load(name).tta_pipeline[1].transforms[:2]
    ratios = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    assert [r.scale for r in resizes] == [(int(4 * side * q), int(side * q)) for q in ratios]
    assert [(f.type, f.prob) for f in flips] == [('RandomFlip', 0.0), ('RandomFlip', 1.0)]


def test_one_step_of_upernet_at_full_size():
    """Of the network; its images are small."""
    cfg = load('upernet_poa_vit-s')
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build({**cfg.model, '_scope_': 'mmseg'})).train()
    model.init_weights()
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 150, (1, 96, 96))))
    losses = model.loss(torch.randn(2, 3, 96, 96), [sample, sample])
    expected = torch.log(torch.tensor(150.0)).item()
    assert losses['decode.loss_ce'].item() == pytest.approx(expected, rel=0.1)
    assert losses['aux.loss_ce'].item() == pytest.approx(0.4 * expected, rel=0.1)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    unused = [n for n, p in model.named_parameters() if p.grad is None]
    assert unused == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_the_table_of_parameters_is_what_the_configs_build():
    rows = re.findall(r'^\| `(\w[\w.-]*\.py)` \| ([\d. |]+) \|$', readme(), re.MULTILINE)
    assert {name for name, _ in rows} == {f'{name}.py' for name in NAMES}
    for name, cells in rows:
        model = build(name.removesuffix('.py'))
        *_, whole, trained = (float(cell) for cell in cells.split('|'))
        assert whole == pytest.approx(count(model) / 1e6, abs=0.01)
        numbers = [p.numel() for p in model.parameters() if p.requires_grad]
        assert trained == pytest.approx(sum(numbers) / 1e6, abs=0.01)


def readme():
    return (FOLDER / 'README.md').read_text()


def test_the_metafile_states_what_the_configs_build():
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    assert {model['Name'] for model in models} == set(FULL)
    for model in models:
        cfg = load(model['Name'])
        assert model['Config'] == f'configs/seg/{model["Name"]}.py'
        told = model['Metadata']
        assert told['Parameters'] == count(build(model['Name']))
        assert told['Iterations'] == cfg.train_cfg.max_iters
        assert told['Batch Size'] == cfg.auto_scale_lr.base_batch_size
        assert told['Crop Size'] == list(cfg.model.data_preprocessor.size)
    figures = {
        model['Name']: result['Metrics']['mIoU']
        for model in models
        for result in model.get('Results', ())
    }
    assert figures == {
        'upernet_poa_vit-s': 46.7,
        'upernet_poa_vit-b': 50.4,
        'linear_poa_vit-b': 40.3,
    }
