"""What is measured gives the tokens that the library itself gives, whatever it was opened from."""

import json

import pytest
import timm
import torch
from tiny.checkpoints import save_checkpoint, save_supernet
from tiny.families import SUPERNETS, build, images

from poa_mm.checkpoints import preprocessing_of, save_backbone
from poa_mm.evaluation import MeasuredSupernet, open_measured
from poa_mm.evaluation.networks.timm_models import timm_tokens
from poa_mm.evaluation.results import file_sha256
from poa_mm.export import export_subnet


def only(measured, batch):
    """Name and tokens of a single network."""
    ((network, tokens),) = measured.tokens(batch)
    return network, tokens


def assert_same(tokens, cls, patches, grid, tolerance=1e-5):
    torch.testing.assert_close(tokens.cls, cls, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(tokens.patches, patches, rtol=tolerance, atol=tolerance)
    assert tokens.grid == grid
    assert grid[0] * grid[1] == patches.shape[1]


def test_sub_networks_of_a_checkpoint(tmp_path):
    path = tmp_path / 'iter_1.pth'
    nets = save_supernet(path)
    batch = images('vit')
    for branch in ('teacher', 'student'):
        measured = open_measured(path, 'smallest,w24-d3', branch)
        assert [one.name for one in measured.networks] == ['w16-d2', 'w24-d3']
        assert [one.known_as for one in measured.networks] == ['smallest', '']
        assert (measured.source, measured.branch) == (str(path), branch)
        assert measured.source_sha256 == file_sha256(path)
        assert measured.preprocessing == preprocessing_of(nets[branch], {})
        found = dict(measured.tokens(batch))
        assert set(found) == set(measured.networks)
        for network, tokens in found.items():
            with torch.no_grad():
                cls, patches = nets[branch].tokens(batch, network.subnet)
            assert torch.equal(tokens.cls, cls)
            assert torch.equal(tokens.patches, patches)
            assert tokens.grid == (4, 4)
            assert network.params == nets[branch].num_params(network.subnet)
        (one,) = measured.tokens(batch, measured.networks[1:])
        assert torch.equal(one[1].cls, found[measured.networks[1]].cls)
    assert not tokens.cls.requires_grad
    assert torch.is_grad_enabled()


@pytest.mark.parametrize('family', SUPERNETS)
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_an_extracted_file_gives_the_tokens_of_its_sub_network(family, suffix, tmp_path):
    supernet, batch = build(family), images(family)
    subnet = supernet.space.smallest
    preprocessing = preprocessing_of(supernet, {}, batch.shape[-1])
    path = tmp_path / f'net{suffix}'
    if suffix == '.pth':
        save_backbone(supernet, subnet, path, preprocessing=preprocessing.as_dict())
    else:
        export_subnet(supernet, subnet, path, 'safetensors', image_size=batch.shape[-1])
    measured = open_measured(path)
    network, tokens = only(measured, batch)
    assert network.name == str(subnet)
    assert network.subnet == subnet
    assert network.params == supernet.num_params(subnet)
    assert measured.preprocessing == preprocessing
    with torch.no_grad():
        cls, patches = supernet.tokens(batch, subnet)
    assert_same(tokens, cls, patches, supernet.mask_grid(*batch.shape[-2:]))


@pytest.mark.parametrize(
    'to', ['timm', 'torchscript', pytest.param('onnx', marks=pytest.mark.slow)]
)
def test_an_export_gives_the_tokens_of_its_sub_network(to, tmp_path):
    supernet, batch = build('vit'), images('vit')
    path = tmp_path / {'timm': 'folder', 'torchscript': 'net.pt', 'onnx': 'net.onnx'}[to]
    export_subnet(supernet, 'w24-d3', path, to)
    measured = open_measured(path)
    network, tokens = only(measured, batch)
    assert (network.name, network.params) == ('w24-d3', supernet.num_params('w24-d3'))
    assert measured.preprocessing == preprocessing_of(supernet, {})
    with torch.no_grad():
        cls, patches = supernet.tokens(batch, 'w24-d3')
    assert_same(tokens, cls, patches, (4, 4), 1e-4)
    if to != 'timm':
        with pytest.raises(ValueError, match='was exported for images of 16 × 16'):
            open_measured(path, image_size=32)
        with pytest.raises(ValueError, match='was exported in float32'):
            open_measured(path, dtype=torch.bfloat16)


@pytest.mark.parametrize('name', ['test_vit', 'test_resnet', 'test_convnext'])
def test_a_model_of_timm_gives_the_features_that_timm_gives(name):
    torch.manual_seed(0)
    expected = timm.create_model(name, num_classes=0).eval()
    state = torch.random.get_rng_state()
    measured = open_measured(f'timm:{name}')
    assert torch.equal(torch.random.get_rng_state(), state)
    batch = torch.randn(2, 3, 160, 160)
    network, tokens = only(measured, batch)
    with torch.no_grad():
        assert torch.equal(tokens.cls, expected(batch))
        out = expected.forward_features(batch)
    if out.ndim == 4:
        assert torch.equal(tokens.patches, out.flatten(2).mT)
        assert tokens.grid == tuple(out.shape[-2:])
    else:
        assert torch.equal(tokens.patches, out[:, expected.num_prefix_tokens :])
        assert tokens.grid == expected.patch_embed.grid_size
    assert network.name == name
    assert network.params == sum(one.numel() for one in expected.parameters())
    assert measured.source == 'timm'
    assert measured.source_sha256 == open_measured(name).source_sha256
    config = timm.data.resolve_model_data_config(expected)
    (step, *_) = timm.data.create_transform(**config).transforms
    assert measured.preprocessing.resized_to == step.size
    assert measured.preprocessing.unit_mean == pytest.approx(config['mean'], abs=1e-6)


def test_maps_of_timm_with_channels_last():
    measured = open_measured('swin_tiny_patch4_window7_224', image_size=56)
    expected = timm.create_model('swin_tiny_patch4_window7_224', num_classes=0, img_size=56).eval()
    batch = torch.randn(1, 3, 56, 56)
    _, tokens = only(measured, batch)
    torch.testing.assert_close(tokens.cls, tokens.patches.mean(dim=1), rtol=1e-4, atol=1e-5)
    assert tokens.patches.shape == (1, 4, 768)
    assert tokens.grid == (2, 2)
    assert tokens.cls.shape == expected(batch).shape
    assert measured.preprocessing.image_size == (56, 56)


class Features(torch.nn.Module):
    """A model of timm that gives these features, and their mean as that of the image."""

    def __init__(self, *features):
        super().__init__()
        self.features = features

    def forward_features(self, images):
        return self.features[0] if len(self.features) == 1 else list(self.features)

    def forward_head(self, features, pre_logits):
        return self.features[0].flatten(1, -2).mean(dim=1)


@pytest.mark.parametrize(
    ('shapes', 'patches', 'grid'),
    [
        ([(2, 10, 4)], (2, 9, 4), (3, 3)),  # with a class token, as VOLO
        ([(2, 9, 4), (2, 4, 4)], (2, 1, 4), (1, 1)),  # several, as CrossViT
        ([(2, 13, 4)], (2, 1, 4), (1, 1)),  # on no grid
        ([(2, 9, 4)], (2, 9, 4), (3, 3)),
    ],
)
def test_unusual_features_of_timm(shapes, patches, grid):
    net = Features(*map(torch.randn, shapes))
    tokens = timm_tokens(net)(torch.zeros(2, 3, 8, 8))
    assert torch.equal(tokens.cls, net.features[0].mean(dim=1))
    assert tokens.patches.shape == patches
    assert tokens.grid == grid


def test_weights_of_a_model_of_timm(tmp_path):
    torch.manual_seed(7)
    trained = timm.create_model('test_vit').eval()  # with a classifier of 1000 classes
    torch.save({'state_dict': trained.state_dict()}, tmp_path / 'weights.pth')
    measured = open_measured('test_vit', timm_weights=tmp_path / 'weights.pth')
    batch = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        expected = trained.forward_head(trained.forward_features(batch), pre_logits=True)
    assert torch.equal(only(measured, batch)[1].cls, expected)
    assert measured.source == str(tmp_path / 'weights.pth')
    assert measured.source_sha256 != open_measured('test_vit').source_sha256
    with pytest.raises(ValueError, match=r'weights\.pth are not those of test_resnet'):
        open_measured('test_resnet', timm_weights=tmp_path / 'weights.pth')
    with pytest.raises(FileNotFoundError, match=r'no file of weights at .*none\.pth'):
        open_measured('test_vit', timm_weights=tmp_path / 'none.pth')
    (tmp_path / 'broken.pth').write_bytes(b'no weights')
    with pytest.raises(ValueError, match=r'broken\.pth cannot be read as weights'):
        open_measured('test_vit', timm_weights=tmp_path / 'broken.pth')


def test_what_cannot_be_opened(tmp_path):
    path = save_checkpoint(tmp_path / 'iter_1.pth', build('vit'))
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*none\.pth'):
        open_measured(tmp_path / 'none.pth')
    with pytest.raises(FileNotFoundError, match='which is a folder'):
        open_measured(tmp_path)
    with pytest.raises(ValueError, match=r"'resnet19' is neither .* did you mean 'resnet1"):
        open_measured('resnet19')
    with pytest.raises(ValueError, match=r'timm cannot create test_vit\.nothing'):
        open_measured('test_vit.nothing')
    with pytest.raises(ValueError, match=r"no sub-network 'w17-d2'; valid"):
        open_measured(path, 'w17-d2')
    with pytest.raises(ValueError, match='branch must be one of'):
        open_measured(path, branch='pupil')
    save_backbone(build('vit'), 'smallest', tmp_path / 'net.pth')
    with pytest.raises(ValueError, match=r"net\.pth holds one network, .* 'w16-d2'"):
        open_measured(tmp_path / 'net.pth', 'w16-d2')
    for name in ('a.pth', 'a.pt', 'a.onnx', 'a.safetensors'):
        (tmp_path / name).write_bytes(b'broken')
        with pytest.raises(ValueError, match=f'{name} (is not|cannot be read)'):
            open_measured(tmp_path / name)
    damaged = path.read_bytes()
    path.write_bytes(damaged[: len(damaged) // 2])
    with pytest.raises(ValueError, match=r'iter_1\.pth is not a checkpoint that can be read'):
        open_measured(path)


def test_a_script_of_another_program_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / 'net.pt')
    with pytest.raises(ValueError, match=r'net\.pt was not written by tools/export_subnet\.py'):
        open_measured(tmp_path / 'net.pt')


def test_precision_of_the_networks():
    backbone, batch = build('vit'), images('vit')
    half = MeasuredSupernet(backbone, [backbone.space.smallest], dtype=torch.bfloat16)
    steps = half.tokens(batch)
    _, tokens = next(steps)
    assert not torch.is_autocast_enabled('cpu')  # between steps as well
    whole = next(MeasuredSupernet(backbone, [backbone.space.smallest]).tokens(batch))[1]
    assert not torch.equal(tokens.cls.float(), whole.cls)
    torch.testing.assert_close(tokens.cls.float(), whole.cls, rtol=0.1, atol=0.1)
    assert json.dumps(half.networks[0].params)
