"""The full-size pre-training configs: sub-networks, parameters, schedules."""

import pytest
import timm
import torch
import yaml
from helpers import ROOT, load_config

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.elastic import Subnet
from poa_mm.registry import MODELS

FOLDER = ROOT / 'configs' / 'pretrain'


def load(name):
    return load_config(f'pretrain/{name}.py')


@pytest.fixture(scope='module')
def vit_l():
    """The supernet of poa_vit-l.py, without memory for its weights."""
    with torch.device('meta'):
        return MODELS.build({'with_mask_token': True, **load('poa_vit-l').model.backbone})


def test_vit_l_has_the_paper_s_sub_networks(vit_l):
    assert len(vit_l.space) == 143
    assert vit_l.space['vit-s'] == vit_l.space.smallest == Subnet(384, 12)
    assert vit_l.space['vit-b'] == Subnet(768, 12)
    assert vit_l.space['vit-l'] == vit_l.space.largest == vit_l.space.intact == Subnet(1024, 24)
    assert set(vit_l.space) == {Subnet(64 * w, d) for w in range(6, 17) for d in range(12, 25)}


@pytest.mark.parametrize('size', ['small', 'base', 'large'])
def test_named_sub_networks_are_timm_s_with_layer_scale(vit_l, size):
    name = f'vit-{size[0]}'
    subnet = vit_l.space[name]
    with torch.device('meta'):
        stock = timm.create_model(f'vit_{size}_patch16_224', num_classes=0)
        extracted = MODELS.build(vit_l.subnet_cfg(name))
    expected = sum(p.numel() for p in stock.parameters()) + 2 * subnet.width * subnet.depth
    assert vit_l.num_params(name) == expected
    assert sum(p.numel() for p in extracted.parameters()) == expected


def test_drop_path_is_the_same_in_every_block(vit_l):
    assert {layer.attn.out_drop.drop_prob for layer in vit_l.layers} == {0.2}
    assert {layer.ffn.dropout_layer.drop_prob for layer in vit_l.layers} == {0.2}


def test_vit_l_is_the_run_of_the_paper():
    """Sec. 4.1 and App. C, written down once more."""
    cfg = load('poa_vit-l')
    assert cfg.train_dataloader.batch_size * 32 == 1600
    assert cfg.train_cfg.max_iters == 346 * 800
    assert cfg.model.head.num_prototypes == [8192, 16384, 32768, 65536]
    assert build_on_meta(cfg.model).intact_weight == 0.8  # λ of Eq. 10
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.004 * (1600 / 1024) ** 0.5)
    warmup, cosine, decay = cfg.param_scheduler
    assert (warmup.begin, warmup.end) == (0, 8000)
    assert (cosine.begin, cosine.end, cosine.T_max) == (8000, 276_800, 268_800)
    assert cosine.eta_min_ratio * cfg.optim_wrapper.optimizer.lr == pytest.approx(2e-5)
    assert (cfg.optim_wrapper.optimizer.weight_decay, decay.eta_min) == (0.04, 0.4)
    assert (decay.begin, decay.end, decay.T_max) == (0, 276_800, 276_800)
    crops = cfg.train_dataloader.dataset.pipeline[0]
    assert (crops.global_size, crops.local_size, crops.num_local) == (224, 96, 8)


@pytest.mark.parametrize(
    ('name', 'gpus', 'rate'),
    [('poa_vit-b', 8, 1.0), ('poa_vit-b_small-batch', 1, 0.5)],
)
def test_smaller_runs_follow_the_same_rules(name, gpus, rate):
    cfg = load(name)
    batch = cfg.train_dataloader.batch_size * gpus
    hook = cfg.custom_hooks[0]
    lr = cfg.optim_wrapper.optimizer.lr
    assert cfg.auto_scale_lr.base_batch_size == batch
    assert lr == pytest.approx(rate * 0.004 * (batch / 1024) ** 0.5, rel=0.02)
    assert hook.epoch_length == pytest.approx(1_281_167 / batch, rel=0.01)
    assert cfg.train_cfg.max_iters == 100 * hook.epoch_length
    warmup, cosine, decay = cfg.param_scheduler
    assert warmup.end == cosine.begin == 10 * hook.epoch_length
    assert cosine.end == decay.end == decay.T_max == cfg.train_cfg.max_iters
    assert cosine.T_max == cosine.end - cosine.begin
    assert cosine.eta_min_ratio * lr == pytest.approx(rate * 2e-5, rel=0.5)


@pytest.mark.parametrize(
    ('name', 'batch', 'epochs', 'iterations', 'layer_decay'),
    [('poa_swin-b', 2048, 346, 625, 0.9), ('poa_resnet-152', 1280, 692, 1000, 0.95)],
)
def test_the_other_families_run_as_in_the_paper(name, batch, epochs, iterations, layer_decay):
    cfg = load(name)
    assert cfg.train_dataloader.batch_size * 32 == cfg.auto_scale_lr.base_batch_size == batch
    assert cfg.train_cfg.max_iters == epochs * iterations
    assert epochs * iterations * batch == pytest.approx(epochs * 1_281_167, rel=1e-3)
    lr = cfg.optim_wrapper.optimizer.lr
    assert lr == pytest.approx(0.004 * (batch / 1024) ** 0.5, rel=1e-4)
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay == layer_decay
    warmup, cosine, decay = cfg.param_scheduler
    assert warmup.end == cosine.begin == 30 * iterations
    assert cosine.end == decay.end == decay.T_max == cfg.train_cfg.max_iters
    assert cosine.T_max == cosine.end - cosine.begin
    assert cosine.eta_min_ratio * lr == pytest.approx(2e-5, rel=1e-4)
    assert cfg.custom_hooks[0].epoch_length == iterations
    assert cfg.model.mask_ratio == (0.1, 0.3)
    assert cfg.model.backbone.gamma == 2


def test_resnet_152_has_the_paper_s_sub_networks():
    net = build_on_meta(load('poa_resnet-152').model.backbone)
    assert len(net.space) == 465
    assert net.space['resnet-50'] == net.space.smallest
    assert net.space.intact == net.space.largest == Subnet(128, (3, 8, 36, 3))
    assert {(s.width, *s.depth) for s in net.space} == {
        (width, 3, second, third, 3)
        for width in (64, 96, 128)
        for second in range(4, 9)
        for third in range(6, 37)
    }
    assert [net.space[f'resnet-{depth}'].num_blocks * 3 + 2 for depth in (50, 101, 152)] == [
        50,
        101,
        152,
    ]


def test_swin_b_has_the_paper_s_sub_networks():
    net = build_on_meta(load('poa_swin-b').model.backbone)
    assert [str(net.space[name]) for name in ('swin-t', 'swin-s', 'swin-b')] == [
        'w96-d12',
        'w96-d24',
        'w128-d24',
    ]
    rates = [block.attn.drop.drop_prob for block in net.blocks]
    assert rates == pytest.approx([0.2 * index / 23 for index in range(24)])


def test_vit_b_reaches_from_vit_s_to_vit_b():
    with torch.device('meta'):
        net = MODELS.build(load('poa_vit-b').model.backbone)
    assert len(net.space) == 7
    assert net.space['vit-s'] == net.space.smallest
    assert net.space['vit-b'] == net.space.largest == net.space.intact


def test_the_metafile_states_what_the_configs_build():
    metafile = yaml.safe_load((FOLDER / 'metafile.yml').read_text())
    for model in metafile['Models']:
        cfg = load_config(model['Config'].removeprefix('configs/'))
        net = build_on_meta(cfg.model.backbone)
        told = model['Metadata']
        assert told['Parameters'] == net.num_params()
        assert told['Sub-networks'] == len(net.space)
        # Not of POAHook where the teacher is frozen.
        epoch = cfg.custom_hooks[0].get('epoch_length') or cfg.epoch_length
        assert told['Epochs'] * epoch == cfg.train_cfg.max_iters
        assert told['Batch Size'] == cfg.auto_scale_lr.base_batch_size
