"""The family of docs/new_family.md: what its class must hold, and a run through the real tools."""

import copy
import csv
import os
import re
import subprocess
import sys

import onnxruntime
import pytest
import torch
from helpers import ROOT, install_metadata, load_tool
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpretrain.models.backbones import MlpMixer
from tiny.networks import TINY_POA, randomise

import poa_mm
from poa_mm.elastic import Subnet
from poa_mm.export import FORMATS, export_subnet, load_timm
from poa_mm.registry import ELASTIC_BACKBONES, MODELS

EXAMPLES = ROOT / 'docs' / 'examples'
CONFIG = EXAMPLES / 'poa_mixer-tiny_photos.py'
ARCH = {'embed_dims': 32, 'num_layers': 4, 'tokens_mlp_dims': 16, 'channels_mlp_dims': 64}
TINY = {
    'type': 'ElasticMlpMixer',
    'arch': ARCH,
    'widths': [16, 24, 32],
    'depths': [2, 3, 4],
    'img_size': 32,
    'patch_size': 8,
}
NAMES = [f'w{width}-d{depth}' for width in TINY['widths'] for depth in TINY['depths']]


@pytest.fixture(scope='module', autouse=True)
def _family():
    """Registers the family for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        import elastic_mixer  # noqa: F401
        import mixer_in_timm  # noqa: F401

        yield
    del sys.modules['elastic_mixer'], sys.modules['mixer_in_timm']
    for registry in (MODELS, ELASTIC_BACKBONES):
        del registry.module_dict['ElasticMlpMixer']


def build(**overrides):
    torch.manual_seed(0)
    cfg = copy.deepcopy({**TINY, **overrides})
    return randomise(MODELS.build(cfg)).double().eval()


def images(height=32, width=32, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, height, width, generator=generator).double()


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(NAMES),
    st.sampled_from([(32, 32), (16, 48), (28, 36)]),
    st.sampled_from([(-1,), (-2, -1), (-1, -2)]),
)
def test_extracted_network_equals_the_sub_network(name, size, positions):
    net = build(img_size=size, out_indices=positions)
    stock = net.extract(name)
    assert type(stock) is MlpMixer
    assert sum(p.numel() for p in stock.parameters()) == net.num_params(name)
    outputs, expected = net(images(*size), name), stock(images(*size))
    assert len(outputs) == len(positions)
    for mine, theirs in zip(outputs, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)


def test_the_intact_network_is_the_stock_one():
    net = build()
    stock = MlpMixer(ARCH, img_size=32, patch_size=8).double()
    stock.load_state_dict(net.state_dict())
    stock.eval()
    torch.testing.assert_close(net(images())[0], stock(images())[0], rtol=0, atol=1e-10)


def test_it_starts_as_the_stock_network_does():
    states = []
    for cfg in (TINY, {**MODELS.build(TINY).subnet_cfg(), 'type': 'MlpMixer'}):
        torch.manual_seed(0)
        net = MODELS.build(copy.deepcopy(cfg))
        net.init_weights()
        states.append(net.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_slices_by_hand():
    net = build()
    state, cut = net.state_dict(), net.subnet_state_dict('w24-d3')
    for position, block in enumerate([0, 1, 3]):  # Eq. 4: 3 of 4
        mine, theirs = f'layers.{position}.', f'layers.{block}.'
        mix = 'token_mix.layers.0.0.weight'
        assert torch.equal(cut[mine + mix], state[theirs + mix][:12])
        mix = 'token_mix.layers.1.weight'
        torch.testing.assert_close(cut[mine + mix], state[theirs + mix][:, :12] * 16 / 12)
        mix = 'channel_mix.layers.0.0.weight'
        torch.testing.assert_close(cut[mine + mix], state[theirs + mix][:48, :24] * 32 / 24)
        mix = 'channel_mix.layers.1.weight'
        torch.testing.assert_close(cut[mine + mix], state[theirs + mix][:24, :48] * 64 / 48)
        assert torch.equal(cut[f'{mine}ln2.bias'], state[f'{theirs}ln2.bias'][:24])
    weight = 'patch_embed.projection.weight'
    assert torch.equal(cut[weight], state[weight][:24])


def test_mixer_l_holds_mixer_s_and_b():
    widths, depths = list(range(512, 1025, 64)), list(range(8, 25))
    cfg = {'type': 'ElasticMlpMixer', 'arch': 'large', 'widths': widths, 'depths': depths}
    with torch.device('meta'):
        net = MODELS.build(cfg)
        stock = {size: MlpMixer(size) for size in ('s', 'b', 'l')}
    assert len(net.space) == 9 * 17
    assert net.space['mixer-b'] == Subnet(768, 12)
    for size, mixer in stock.items():
        assert net.subnet_cfg(f'mixer-{size}')['arch'] == MlpMixer.arch_zoo[size]
        expected = sum(p.numel() for p in mixer.parameters())
        assert net.num_params(f'mixer-{size}') == expected


def test_masks_show_the_token_and_hide_the_image():
    net = build(with_mask_token=True)
    assert net.mask_grid(32, 32) == (4, 4)
    masks = torch.zeros(2, 16, dtype=torch.bool)
    masks[:, 5] = True  # row 1, column 1
    changed = images()
    changed[:, :, 8:16, 8:16] += 1
    for subnet in ('smallest', 'w24-d3', 'largest'):
        shown = net.tokens(images(), subnet, masks)
        assert all(map(torch.equal, shown, net.tokens(changed, subnet, masks)))
        assert not torch.equal(net.tokens(images(), subnet)[0], net.tokens(changed, subnet)[0])
    with torch.no_grad():
        net.mask_token.add_(1)
    assert not torch.equal(net.tokens(images(), None, masks)[0], net.tokens(images(), None)[0])
    assert not torch.equal(net.tokens(images(), 'largest', masks)[0], shown[0])


def test_tokens_are_the_output_and_its_mean():
    net = build()
    class_tokens, patches = net.tokens(images(), 'w24-d3')
    (out,) = net(images(), 'w24-d3')
    assert torch.equal(patches.transpose(1, 2), out)
    torch.testing.assert_close(class_tokens, out.mean(dim=2))


def test_every_parameter_learns_with_all_terms_on():
    poa = MODELS.build({**copy.deepcopy(TINY_POA), 'backbone': copy.deepcopy(TINY)})
    for seed, part in enumerate((poa.backbone, poa.head, poa.teacher)):
        randomise(part, seed)
    poa.double()
    masks = poa.block_masks(6, poa.backbone.mask_grid(32, 32), step=0)
    assert masks.any()
    terms = poa.losses(images(batch=6), images(batch=6), masks)
    terms['total'].backward()
    assert {'intact_patch', 'elastic_patch', 'elastic_koleo', 'same_view_local'} <= set(terms)
    for name, parameter in [*poa.backbone.named_parameters(), *poa.head.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_layer_depths_rise_from_stem_to_head():
    net = build(with_mask_token=True)
    depths = {}
    for name, _ in net.named_parameters():
        depth, number = net.get_layer_depth(f'backbone.{name}', 'backbone.')
        assert number == 6
        parts = name.split('.')
        depths.setdefault('.'.join(parts[: 2 if parts[0] == 'layers' else 1]), set()).add(depth)
    blocks = {f'layers.{index}': {index + 1} for index in range(4)}
    assert depths == {'mask_token': {0}, 'patch_embed': {0}, **blocks, 'ln1': {5}}
    assert net.get_layer_depth('head.weight', 'backbone.') == (5, 6)


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'widths': [20, 31]}, r'a whole share of the hidden layers \(16, 64\), got \[31\]'),
        ({'widths': [40]}, r'at most 32, with .* got \[40\]'),
        ({'depths': [3, 5]}, 'depths must be at most 4, got 5'),
        ({'out_indices': (-3, -1)}, r'out_indices must be within -2…-1, got \[-3\]'),
        ({'out_indices': (0,)}, r'got \[0\]'),
        ({'layer_cfgs': {'num_fcs': 3}}, 'layer_cfgs cannot be set in an elastic MLP-Mixer'),
        ({'norm_cfg': {'type': 'BN1d'}}, 'BatchNorm1d'),
    ],
)
def test_what_cannot_be_elastic(overrides, message):
    with pytest.raises(ValueError, match=message):
        build(**overrides)


def test_other_image_sizes_are_refused():
    net = build(with_mask_token=True)
    masks = torch.zeros(2, 4, dtype=torch.bool)
    for call in (
        lambda: net(images(16, 16)),
        lambda: net.tokens(images(16, 16), masks=masks),
        lambda: net.extract('smallest', img_size=16),
    ):
        with pytest.raises(ValueError, match=r'images must be \(32, 32\), got \(16, 16\)'):
            call()


def test_the_config_builds_the_same_supernet():
    net = build(with_mask_token=True, img_size=(16, 48), out_indices=(-2, -1))
    twin = MODELS.build(net.config).double().eval()
    twin.load_state_dict(net.state_dict())
    assert list(twin.space) == list(net.space)
    stock, expected = twin.extract('w24-d3')(images(16, 48)), net(images(16, 48), 'w24-d3')
    assert all(map(torch.equal, stock, expected))


@pytest.mark.parametrize('size', [(32, 32), (16, 48)])
@pytest.mark.parametrize('name', ['smallest', 'w24-d3'])
@pytest.mark.parametrize('to', ['onnx', 'torchscript'])
def test_traced_files_give_the_tokens(to, name, size, tmp_path):
    net, batch = build(img_size=size).float(), images(*size).float()
    path = tmp_path / f'net{FORMATS[to].suffix}'
    card = export_subnet(net, name, path, to)
    assert 'mean of the last tokens' in card.outputs
    with torch.no_grad():
        class_tokens, patches = net.tokens(batch, name)
        if to == 'onnx':
            session = onnxruntime.InferenceSession(path)
            outputs = map(torch.from_numpy, session.run(None, {'images': batch.numpy()}))
        else:
            outputs = torch.jit.load(path)(batch)
    features, feature_map = outputs
    torch.testing.assert_close(features, class_tokens, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(feature_map.flatten(2).mT, patches, rtol=1e-4, atol=1e-5)
    assert feature_map.shape[2:] == net.mask_grid(*size)


HOLDS_MIXER_S = {  # with narrow blocks and few patches
    'arch': {'embed_dims': 768, 'num_layers': 9, 'tokens_mlp_dims': 384, 'channels_mlp_dims': 192},
    'widths': [512, 768],
    'depths': [8, 9],
    'img_size': (64, 32),
    'patch_size': 32,
}


def test_a_named_size_in_timm(tmp_path):
    net = build(**HOLDS_MIXER_S, norm_cfg={'type': 'LN', 'eps': 1e-6})
    path = tmp_path / 'net'
    card = export_subnet(net, 'w512-d8', path, 'timm')
    assert card.build['architecture'] == 'mixer_s32_224'
    stranger = load_timm(path)
    assert type(stranger).__module__ == 'timm.models.mlp_mixer'
    with torch.no_grad():
        got, expected = stranger(images(64, 32)), net.tokens(images(64, 32), 'w512-d8')[0]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({}, r'\(16, 1024, 24\) alone, not \(8, 16, 2\)'),
        (
            {**HOLDS_MIXER_S, 'depths': [8]},
            r'eps 1e-06, this one with 1e-05; train it with norm_cfg',
        ),
    ],
)
def test_what_timm_does_not_have(overrides, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_subnet(build(**overrides), 'smallest', tmp_path / 'net', 'timm')


def python(*args, **environment):
    """Run Python as a user would, in the root of the repository."""
    done = subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """PYTHONPATH on which the example is, with the metadata that its installation would write."""
    folder = tmp_path_factory.mktemp('site')
    text = (EXAMPLES / 'pyproject.toml').read_text()
    group, entries = re.search(r'entry-points\."(.+)"\]\n((?:\w+ = "\w+"\n)+)', text).groups()
    install_metadata(folder, 'elastic-mixer', group, *entries.replace('"', '').splitlines())
    return f'{folder}{os.pathsep}{EXAMPLES}'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory, installed):
    """What tools/train.py leaves after two steps of the config."""
    folder = tmp_path_factory.mktemp('mixer')
    options = [
        'train_cfg.max_iters=2',
        'train_dataloader.batch_size=4',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'train_dataloader.dataset.patches_per_photo=1',
        'default_hooks.checkpoint.interval=2',
    ]
    run = ['tools/train.py', CONFIG.relative_to(ROOT), '--work-dir', folder]
    python(*run, '--cfg-options', *options, PYTHONPATH=installed)
    return folder / 'iter_2.pth'


def test_a_checkpoint_opens_as_the_family(checkpoint):
    net = poa_mm.load_supernet(checkpoint)
    assert type(net).__name__ == 'ElasticMlpMixer'
    assert len(net.space) == 9
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[f'teacher.backbone.{name}'])


def run(tool, *args):
    """Run a tool in this process, which knows the family."""
    assert load_tool(tool).main([str(arg) for arg in args]) in (0, None)


def test_the_tools_know_the_family(checkpoint, tmp_path):
    options = ['knn_train_dataset.patches_per_photo=3', 'knn_test_dataset.patches_per_photo=2']
    args = [checkpoint, '--subnets', 'w48-d3', '--device', 'cpu', '--workers', '0']
    run('eval_knn', *args, '--cfg-options', *options)
    with (checkpoint.with_name('knn_iter_2') / 'knn.csv').open() as file:
        (row,) = csv.DictReader(file)
    net = poa_mm.load_supernet(checkpoint)
    assert int(row['params']) == net.num_params('w48-d3')
    assert float(row['k20']) > 5, 'chance is 5 % of 20 photographs'
    out = tmp_path / 'net.pth'
    run('extract_subnet', checkpoint, 'w48-d3', out)
    exported = tmp_path / 'mixer.onnx'
    run('export_subnet', checkpoint, 'w48-d3', exported, '--to', 'onnx')
    assert exported.is_file()
    stock, image = poa_mm.load_backbone(out), images().float()
    assert type(stock) is MlpMixer
    assert torch.equal(stock(image)[0], net(image, 'w48-d3')[0])
