"""k-NN on folders of a user's own images, prepared as the checkpoint says."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny.families import TINY
from torchvision import transforms

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.datasets.description import describe
from poa_mm.elastic import Subnet
from poa_mm.evaluation import KnnEvaluator, knn_accuracy
from poa_mm.evaluation.labelled_folders import use_labelled_folders
from poa_mm.registry import ELASTIC_BACKBONES

PREPROCESSING = Preprocessing((16, 16), (10.0, 20.0, 30.0), (40.0, 50.0, 60.0), crop_ratio=0.8)


@pytest.fixture
def folders(tmp_path):
    """Ten images for training and six for testing, of two classes and of several sizes."""
    rng = np.random.default_rng(0)
    for split, count in (('train', 5), ('test', 3)):
        for label, name in enumerate(('apple', 'pear')):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(count):
                size = (20 + index, 30 - index, 3)
                pixels = rng.integers(90 * label, 90 * label + 120, size, dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f'{index}.png')
    return tmp_path / 'train', tmp_path / 'test'


def by_hand(net, folder):
    """Features of the smallest sub-network, image by image."""
    transform = transforms.Compose(
        [
            transforms.Resize(20, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(16),
            transforms.PILToTensor(),
        ]
    )
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (PREPROCESSING.mean, PREPROCESSING.std))
    features, labels = [], []
    for label, name in enumerate(('apple', 'pear')):
        for path in sorted((folder / name).iterdir()):
            image = (transform(Image.open(path)).float() - mean) / std
            features.append(net(image[None], 'smallest')[-1][0])
            labels.append(label)
    return torch.stack(features), torch.tensor(labels)


@torch.no_grad()
def test_the_numbers_are_those_of_the_images_prepared_by_hand(folders):
    torch.manual_seed(0)
    net = ELASTIC_BACKBONES.build(TINY['vit']).eval()
    cfg = Config({})
    use_labelled_folders(cfg, *folders, PREPROCESSING)
    evaluator = KnnEvaluator.from_config(cfg, k=(1, 3), num_workers=0, progress=False)
    [(subnet, by_kind)] = evaluator.evaluate(net, [net.space.smallest])
    assert subnet == Subnet(16, 2)
    (train, train_labels), (test, test_labels) = (by_hand(net, folder) for folder in folders)
    expected = knn_accuracy(train, train_labels, test, test_labels, (1, 3))
    assert by_kind['cls'] == expected


def test_a_missing_folder_is_named_before_anything_is_built(folders, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'there is no image folder .*nowhere'):
        use_labelled_folders(Config({}), folders[0], tmp_path / 'nowhere', PREPROCESSING)


def test_folders_of_different_classes_are_refused(folders):
    (folders[1] / 'pear').rename(folders[1] / 'plum')
    cfg = Config({})
    use_labelled_folders(cfg, *folders, PREPROCESSING)
    with pytest.raises(ValueError, match=r"different classes: \['pear', 'plum'\]"):
        KnnEvaluator.from_config(cfg, num_workers=0)


def test_what_was_measured_on_is_said(folders):
    cfg = Config({})
    use_labelled_folders(cfg, *folders, PREPROCESSING)
    evaluator = KnnEvaluator.from_config(cfg, num_workers=0)
    assert describe(evaluator.train_loader.dataset) == f'10 images of 2 classes from {folders[0]}'
    assert describe(evaluator.test_loader.dataset) == f'6 images of 2 classes from {folders[1]}'
