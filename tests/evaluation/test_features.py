"""Feature extraction against the extracted stock networks run one image at a time."""

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample
from torch import nn
from torch.utils.data import Dataset

from poa_mm.elastic import Subnet
from poa_mm.evaluation import MeasuredSupernet, extract_features, extract_pixels, feature_loader
from poa_mm.evaluation.features import evaluating, extract
from poa_mm.registry import MODELS

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
SUBNETS = [Subnet(32, 2), Subnet(64, 3)]


class Images(Dataset):
    """Random images; counts how often one is read."""

    def __init__(self, count=10, size=16, labelled=True):
        generator = torch.Generator().manual_seed(0)
        shape = (count, 3, size, size)
        self.images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        self.labelled = labelled
        self.reads = 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.reads += 1
        sample = DataSample()
        if self.labelled:
            sample.set_gt_label(3 * index % 7)
        return {'inputs': self.images[index], 'data_samples': sample}


@pytest.fixture
def preprocessor():
    return MODELS.build({'type': 'SelfSupDataPreprocessor', 'mean': MEAN, 'std': STD})


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    net = MODELS.build(
        {
            'type': 'ElasticVisionTransformer',
            'arch': {
                'embed_dims': 64,
                'num_layers': 3,
                'num_heads': 4,
                'feedforward_channels': 128,
            },
            'widths': [32, 64],
            'depths': [2, 3],
            'img_size': 16,
            'patch_size': 4,
            'drop_path_rate': 0.5,
        }
    )
    net.init_weights()
    return net


def normalised(images):
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (MEAN, STD))
    return torch.from_numpy((images.double().numpy() - mean) / std).float()


@pytest.mark.parametrize('batch_size', [1, 4, 100])
def test_features_equal_the_extracted_networks(backbone, preprocessor, batch_size):
    dataset = Images()
    loader = feature_loader(dataset, batch_size)
    features, labels = extract_features(backbone, loader, SUBNETS, preprocessor, ('cls', 'mean'))
    assert labels.tolist() == [3 * i % 7 for i in range(10)]
    assert list(features) == SUBNETS
    for subnet in SUBNETS:
        stock = backbone.extract(subnet, out_type='raw')
        stock.eval()  # mmpretrain's backbones return nothing here
        with torch.no_grad():
            tokens = torch.cat([stock(normalised(x)[None])[0] for x in dataset.images])
        torch.testing.assert_close(features[subnet]['cls'], tokens[:, 0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            features[subnet]['mean'], tokens[:, 1:].mean(1), atol=1e-5, rtol=1e-4
        )


def test_each_image_is_read_once_for_all_subnets(backbone, preprocessor):
    dataset = Images()
    loader = feature_loader(dataset, 4)
    before = dataset.reads
    extract_features(backbone, loader, list(backbone.space), preprocessor, ('cls', 'mean'))
    assert dataset.reads - before == 10


def test_training_flags_and_autograd_survive(backbone, preprocessor):
    backbone.train()
    backbone.layers[0].eval()  # a frozen part of a network in training
    modes = [module.training for module in backbone.modules()]
    loader = feature_loader(Images(), 4)
    features, _ = extract_features(backbone, loader, SUBNETS, preprocessor)
    again, _ = extract_features(backbone, loader, SUBNETS, preprocessor)
    assert torch.equal(features[SUBNETS[1]]['cls'], again[SUBNETS[1]]['cls']), 'drop path was on'
    assert [module.training for module in backbone.modules()] == modes
    # A linear probe can train on them.
    probe = nn.Linear(64, 2)
    probe(features[SUBNETS[1]]['cls']).sum().backward()
    assert torch.equal(probe.weight.grad[0], features[SUBNETS[1]]['cls'].sum(0))


def test_autocast_runs_the_network_in_bfloat16_and_keeps_float32(backbone, preprocessor):
    dtypes = []
    backbone.layers[0].ffn.layers[0].register_forward_hook(
        lambda module, inputs, output: dtypes.append(output.dtype)
    )
    loader = feature_loader(Images(), 10)
    exact, _ = extract_features(backbone, loader, SUBNETS[:1], preprocessor, ('mean',))
    rough, _ = extract_features(
        backbone, loader, SUBNETS[:1], preprocessor, ('mean',), torch.bfloat16
    )
    assert dtypes == [torch.float32, torch.bfloat16]
    exact, rough = exact[SUBNETS[0]]['mean'], rough[SUBNETS[0]]['mean']
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.1, rtol=0.1)


def test_pixels_are_the_image_raw_and_normalised(preprocessor):
    dataset = Images()
    pixels, labels = extract_pixels(feature_loader(dataset, 4), preprocessor)
    assert list(pixels) == ['raw', 'normalised']
    assert torch.equal(pixels['raw'], dataset.images.flatten(1).float())
    torch.testing.assert_close(pixels['normalised'], normalised(dataset.images).flatten(1))
    assert labels.tolist() == [3 * i % 7 for i in range(10)]


def test_pixels_of_large_images_are_averages(preprocessor):
    dataset = Images(count=3, size=64)
    pixels, _ = extract_pixels(feature_loader(dataset, 2), preprocessor)
    for kind, images in (
        ('raw', dataset.images.float()),
        ('normalised', normalised(dataset.images)),
    ):
        blocks = images.reshape(3, 3, 32, 2, 32, 2).mean((3, 5))
        torch.testing.assert_close(pixels[kind], blocks.flatten(1), atol=1e-5, rtol=1e-5)


def test_bad_arguments_are_refused(backbone, preprocessor):
    loader = feature_loader(Images(), 4)
    with pytest.raises(ValueError, match=r"some of \('cls', 'mean'\), got \('max',\)"):
        extract_features(backbone, loader, SUBNETS, preprocessor, ('max',))
    with pytest.raises(ValueError, match=r'got \(\)'):
        extract_features(backbone, loader, SUBNETS, preprocessor, ())
    with pytest.raises(ValueError, match='subnets is empty'):
        extract_features(backbone, loader, [], preprocessor)


def test_bad_datasets_are_refused(preprocessor):
    with pytest.raises(ValueError, match='Images is empty'):
        feature_loader(Images(count=0))
    with pytest.raises(ValueError, match='one gt_label per image, got None'):
        feature_loader(Images(labelled=False))
    with pytest.raises(ValueError, match=r"lack \['data_samples', 'inputs'\], they have \['img'\]"):
        feature_loader([{'img': 0}])
    mixed = [Images(size=16)[0], Images(size=20)[0]]
    with pytest.raises(ValueError, match=r'differ in shape: \[\(3, 16, 16\), \(3, 20, 20\)\]'):
        extract_pixels(feature_loader(mixed), preprocessor)


def test_a_process_without_a_batch_has_features_of_no_image(backbone, preprocessor):
    measured = MeasuredSupernet(backbone)
    loader = feature_loader(Images(), batch_size=1000, rank=1, world_size=2)
    with evaluating(backbone):
        bank, labels = extract(measured, loader, preprocessor, ('cls', 'mean'))
    assert labels.shape == (0,)
    for network, features in bank.items():
        assert features['cls'].shape == features['mean'].shape == (0, network.subnet.width)
