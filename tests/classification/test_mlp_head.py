"""The head of semi-supervised runs, and where its first layers come from."""

import pytest
import torch
from mmpretrain.registry import MODELS
from tiny.checkpoints import save_checkpoint
from tiny.families import TINY, build, images

from poa_mm.checkpoints import save_backbone
from poa_mm.checkpoints.projection import load_projection
from poa_mm.models.heads import MultiProjectionHead

HIDDEN = 12
SUBNETS = {'vit': 'w24-d3', 'swin': 'w24-d7', 'resnet': 'w32-d1-2-3-1'}


@pytest.fixture(scope='module', params=TINY)
def run(request, tmp_path_factory):
    """A supernet with projection heads, its checkpoint and the name of a sub-network."""
    family = request.param
    path = tmp_path_factory.mktemp(family) / 'iter_9.pth'
    supernet = build(family)
    heads = MultiProjectionHead(supernet.feature_width, (5, 7), hidden=HIDDEN, bottleneck=6).eval()
    save_checkpoint(path, supernet)
    content = torch.load(path, weights_only=True)
    state = {f'teacher.head.{name}': value for name, value in heads.state_dict().items()}
    torch.save({**content, 'state_dict': {**content['state_dict'], **state}}, path)
    return family, supernet, heads, path


def classifier(supernet, subnet, source, width, **head):
    """mmpretrain's classifier on a stock backbone."""
    spatial = type(supernet).__name__ != 'ElasticVisionTransformer'
    model = MODELS.build(
        {
            'type': 'ImageClassifier',
            'backbone': supernet.subnet_cfg(
                subnet, init_cfg={'type': 'Pretrained', 'checkpoint': source}
            ),
            'neck': {'type': 'GlobalAveragePooling'} if spatial else None,
            'head': {'type': 'MLPClsHead', 'num_classes': 3, 'in_channels': width, **head},
        }
    )
    model.init_weights()
    return model.eval()


@pytest.mark.parametrize(('layers', 'number'), [(1, 0), (2, 1)])
def test_the_first_layers_are_those_of_training(run, layers, number):
    family, supernet, heads, path = run
    source = f'subnet://{SUBNETS[family]}@{path}'
    batch = images(family)
    with torch.no_grad():
        features = supernet(batch, SUBNETS[family])[-1]
        features = features.mean((2, 3)) if features.ndim == 4 else features
        expected = heads.heads[number].mlp[: 2 * layers](features)
        model = classifier(
            supernet,
            SUBNETS[family],
            source,
            features.shape[1],
            mid_channels=[HIDDEN] * layers,
            projection=source,
            projection_head=number,
        )
        found = model.extract_feat(batch, stage='pre_logits')
        scores = model(batch)
    assert features.shape[1] < supernet.feature_width or family == 'resnet'
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(scores, model.head.fc(found))
    assert scores.shape == (2, 3)


def test_random_layers(run):
    family, supernet, _, path = run
    source = f'subnet://{SUBNETS[family]}@{path}'
    torch.manual_seed(0)
    head = classifier(supernet, SUBNETS[family], source, 24).head
    layer = head.layers[0].fc
    assert tuple(layer.weight.shape) == (2048, 24)
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not layer.bias.any()


def test_a_path_alone_is_enough(run):
    _, _, heads, path = run
    (layer,) = load_projection(path, 8)
    weight = heads.heads[0].mlp[0].weight
    assert torch.equal(layer['weight'], weight[:, :8] * (weight.shape[1] / 8))


def test_what_has_no_such_layers(run, tmp_path):
    family, supernet, _, path = run
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at none.pth'):
        load_projection('subnet://vit-s@none.pth', 8)
    save_backbone(supernet, SUBNETS[family], tmp_path / 'net.pth')
    with pytest.raises(
        ValueError, match=r'net.pth has no projection heads: name the checkpoint of'
    ):
        load_projection(tmp_path / 'net.pth', 8)
    with pytest.raises(ValueError, match=r'iter_9.pth has the projection heads \[0, 1\], not 2'):
        load_projection(path, 8, head=2)
    with pytest.raises(ValueError, match='has 2 hidden layers, not 3'):
        load_projection(path, 8, num_layers=3)
    full = supernet.feature_width
    with pytest.raises(ValueError, match=f'take {full} channels, fewer than {full + 1}'):
        load_projection(path, full + 1)
    head = MODELS.build(
        {'type': 'MLPClsHead', 'num_classes': 3, 'in_channels': 8, 'projection': str(path)}
    )
    with pytest.raises(
        ValueError, match=r'hidden layers of \[12\] channels: set model.head.mid_ch'
    ):
        head.init_weights()
