"""Position embeddings of grids that are not square, on every way into a network."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from tiny.networks import TINY_POA, randomise
from tiny.poa_runs import make_runner

from poa_mm.checkpoints import save_backbone
from poa_mm.checkpoints.checkpoint import SUPERNET_INFO
from poa_mm.compat.position_grid import GRID, fit_positions, with_grid
from poa_mm.compat.prefix_metadata import without_prefix
from poa_mm.registry import MODELS

ELASTIC = {
    'type': 'ElasticVisionTransformer',
    'arch': {'embed_dims': 32, 'num_layers': 3, 'num_heads': 4, 'feedforward_channels': 64},
    'widths': [16, 32],
    'depths': [2, 3],
    'patch_size': 8,
    'layer_scale_init_value': 0.5,
    'with_mask_token': True,
}
SOURCE = (32, 128)  # 4 × 16 patches, as many as 8 × 8
TARGETS = [(64, 256), (64, 64), (128, 32), (48, 40)]
INTACT = 'w32-d3'


def supernet(size=SOURCE, **changes):
    return randomise(MODELS.build(copy.deepcopy({**ELASTIC, 'img_size': size, **changes}))).eval()


def stock(net, subnet, size, **init):
    """A stock network for images of a size that starts as mmengine starts it."""
    cfg = net.subnet_cfg(subnet, img_size=size, init_cfg={'type': 'Pretrained', **init})
    filled = MODELS.build(cfg)
    filled.init_weights()
    assert type(filled) is VisionTransformer
    return filled


def elastic(size, **init):
    filled = MODELS.build(
        copy.deepcopy({**ELASTIC, 'img_size': size, 'init_cfg': {'type': 'Pretrained', **init}})
    )
    filled.init_weights()
    return filled


def assert_same(filled, net, subnet, size):
    """All weights are those of the network that is cut out for the size, to the bit."""
    expected = net.extract(subnet, img_size=size).state_dict()
    got = filled.state_dict()
    assert set(expected) <= set(got)
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A checkpoint of a real runner, and its teacher's backbone."""
    folder = tmp_path_factory.mktemp('run')
    backbone = {**ELASTIC, 'img_size': SOURCE}
    runner, _ = make_runner(folder, model__backbone=backbone)
    randomise(runner.model, seed=3)
    runner.save_checkpoint(
        str(folder), 'iter_1.pth', save_optimizer=False, save_param_scheduler=False
    )
    return folder / 'iter_1.pth', runner.model.teacher.backbone


@pytest.mark.parametrize('size', TARGETS)
def test_all_ways_in_give_what_extraction_gives(size, tmp_path, run):
    checkpoint, net = run
    path, prefix = tmp_path / 'net.pth', 'teacher.backbone.'
    save_backbone(net, 'w16-d2', path)
    assert_same(stock(net, 'w16-d2', size, checkpoint=str(path)), net, 'w16-d2', size)
    address = f'subnet://w16-d2@{checkpoint}'
    assert_same(stock(net, 'w16-d2', size, checkpoint=address), net, 'w16-d2', size)
    for way in (
        stock(net, INTACT, size, checkpoint=str(checkpoint), prefix=prefix),
        stock(net, INTACT, size, checkpoint=str(checkpoint), prefix=prefix.removesuffix('.')),
        stock(net, INTACT, size, checkpoint=f'subnet://{INTACT}@{checkpoint}'),
        elastic(size, checkpoint=str(checkpoint), prefix=prefix),
        elastic(size, checkpoint=f'subnet://{INTACT}@{checkpoint}'),
    ):
        assert_same(way, net, INTACT, size)


def test_a_whole_model_takes_a_checkpoint_of_another_size():
    models = []
    for size in (SOURCE, (64, 64)):
        cfg = copy.deepcopy({**TINY_POA, 'backbone': {**ELASTIC, 'img_size': size}})
        models.append(randomise(MODELS.build(cfg)))
    models[1].load_state_dict(models[0].state_dict())
    for filled, net in (
        (models[1].backbone, models[0].backbone),
        (models[1].teacher.backbone, models[0].teacher.backbone),
    ):
        assert_same(filled, net, INTACT, (64, 64))


@pytest.mark.parametrize('kind', ['extracted', 'training'])
def test_a_file_without_metadata_says_it_in_its_config(kind, tmp_path):
    """As files were before state dicts told their grid."""
    net = supernet(patch_cfg={'stride': 4})  # 8 × 32 of them
    state = {name: value.clone() for name, value in net.extract(INTACT).state_dict().items()}
    content = {'state_dict': state, 'backbone': net.subnet_cfg(INTACT)}
    init = {'checkpoint': str(tmp_path / 'old.pth')}
    if kind == 'training':
        init['prefix'] = 'teacher.backbone.'
        state = {f'teacher.backbone.{name}': value for name, value in state.items()}
        content = {'state_dict': state, SUPERNET_INFO: {'backbone': net.config}}
    torch.save(content, tmp_path / 'old.pth')
    filled = MODELS.build(
        copy.deepcopy(
            {
                **ELASTIC,
                'img_size': (64, 64),
                'patch_cfg': {'stride': 4},
                'init_cfg': {'type': 'Pretrained', **init},
            }
        )
    )
    filled.init_weights()
    assert_same(filled, net, INTACT, (64, 64))


def test_a_file_that_does_not_say_of_which_grid(tmp_path):
    net = supernet((24, 40))  # 3 × 5
    state = {name: value.clone() for name, value in net.extract(INTACT).state_dict().items()}
    path = str(tmp_path / 'plain.pth')
    torch.save(state, path)
    assert_same(elastic((24, 40), checkpoint=path), net, INTACT, (24, 40))
    message = r'plain\.pth do not fit: pos_embed.*16 position embeddings fit no square grid'
    with pytest.raises(ValueError, match=message):
        elastic((48, 80), checkpoint=path)
    with pytest.raises(ValueError, match='16 position embeddings fit no square grid'):
        stock(net, INTACT, (48, 80), checkpoint=path)
    assert_same(elastic((48, 80), checkpoint=path, img_size=(24, 40)), net, INTACT, (48, 80))
    with pytest.raises(ValueError, match=r'16 position embeddings do not fit 5 × 5 patches'):
        elastic((48, 80), checkpoint=path, img_size=40)
    with pytest.raises(ValueError, match=r'img_size of init_cfg must be.*got \(24,\)'):
        elastic((48, 80), checkpoint=path, img_size=(24,))


def test_a_square_grid_needs_no_word(tmp_path):
    net = supernet((32, 32))
    torch.save(dict(net.extract(INTACT).state_dict()), tmp_path / 'plain.pth')
    for size in ((48, 40), (32, 32)):
        filled = elastic(size, checkpoint=str(tmp_path / 'plain.pth'))
        assert_same(filled, net, INTACT, size)


@pytest.mark.parametrize('source', [SOURCE, (32, 32)])
@pytest.mark.parametrize('size', [SOURCE, (48, 40)])
def test_a_network_without_a_class_token_leaves_it_out(source, size, tmp_path):
    net = supernet(source)
    save_backbone(net, INTACT, tmp_path / 'net.pth')
    cfg = net.subnet_cfg(INTACT, img_size=size, out_type='featmap', with_cls_token=False)
    cfg['init_cfg'] = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'net.pth')}
    filled = MODELS.build(cfg)
    filled.init_weights()
    expected = net.extract(INTACT, img_size=size).pos_embed[:, 1:]
    assert torch.equal(filled.pos_embed, expected)


def test_a_position_embedding_that_needs_another_class_token():
    table = torch.zeros(1, 64, 8)
    with pytest.raises(ValueError, match=r'64 .* do not fit 4 × 16 patches and 1 other tokens'):
        fit_positions(table, (4, 16), (8, 8), extra=1)


@settings(deadline=None, max_examples=60)
@given(
    source=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    target=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    extra=st.integers(0, 2),
)
def test_every_grid_that_is_known_is_resized_as_such(source, target, extra):
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(1, source[0] * source[1] + extra, 3, generator=generator)
    fitted = fit_positions(table, source, target, extra)
    assert torch.equal(fitted, resize_pos_embed(table, source, target, 'bicubic', extra))
    # Of an unknown grid, that of the target is taken first, a class token more included.
    patches = target[0] * target[1]
    fits = table.shape[1] - extra == patches or (extra == 0 and table.shape[1] - 1 == patches)
    if source == target or (source[0] == source[1] and not fits):
        assert torch.equal(fit_positions(table, None, target, extra), fitted)


def test_metadata_behind_a_prefix():
    net = supernet()
    state = torch.nn.ModuleDict({'a': net, 'b': torch.nn.Linear(2, 2)}).state_dict()
    part = without_prefix(state, 'a.')
    assert part._metadata[''][GRID] == (4, 16)
    assert part._metadata['layers.0'] == {'version': 1}
    assert set(part) == set(net.state_dict())
    assert 'b' not in part._metadata
    assert with_grid(part, None)._metadata[''] == part._metadata['']
    assert with_grid({}, (2, 3))._metadata == {'': {GRID: (2, 3)}}
    assert GRID not in with_grid({}, None)._metadata.get('', {})


def test_what_leaves_the_project_holds_tensors_and_plain_data(tmp_path):
    torch.save(supernet().extract(INTACT).state_dict(), tmp_path / 'net.pth')
    state = torch.load(tmp_path / 'net.pth', weights_only=True)
    assert state._metadata[''][GRID] == (4, 16)
