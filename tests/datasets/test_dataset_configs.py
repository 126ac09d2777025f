from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, MODELS
from PIL import Image

from poa_mm.datasets.fashion_mnist import DEBIAN_FOLDER

CONFIGS = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))


def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


@pytest.fixture(autouse=True)
def _scope(monkeypatch):
    monkeypatch.delenv('TINY_IMAGENET', raising=False)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture
def imagenet(tmp_path):
    """Two classes of two images in the layout of ImageNet; one photo is pure blue."""
    for split in ('train', 'val'):
        for wnid, colour in (('n01', (255, 0, 0)), ('n02', (0, 0, 255))):
            (tmp_path / split / wnid).mkdir(parents=True)
            for number in range(2):
                Image.new('RGB', (300, 260 + number), colour).save(
                    tmp_path / split / wnid / f'{number}.png'
                )
    return tmp_path


def local_config(name, imagenet):
    if name == 'tiny_imagenet':
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv('TINY_IMAGENET', str(imagenet))
            return load(name)
    config = load(name)
    if name == 'image_folder':
        config.train_dataloader.dataset.data_root = str(imagenet / 'train')
        config.knn_train_dataset.data_root = str(imagenet / 'train')
        config.knn_test_dataset.data_root = str(imagenet / 'val')
    elif name == 'fashion_mnist' and not DEBIAN_FOLDER.is_dir():
        pytest.skip('apt package dataset-fashion-mnist is missing')
    return config


@pytest.mark.parametrize('name', NAMES)
def test_survives_dumping(name, tmp_path):
    config = load(name)
    config.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == config.to_dict()


IMAGENET = [(123.675, 58.395), (116.28, 57.12), (103.53, 57.375)]
FASHION_MNIST = [(72.94, 90.02)] * 3


@pytest.mark.parametrize(
    ('name', 'sizes', 'statistics'),
    [
        ('photo_patches', [32] * 2 + [16] * 4, IMAGENET),
        ('fashion_mnist', [28] * 2 + [14] * 2, FASHION_MNIST),
        ('image_folder', [224] * 2 + [96] * 8, IMAGENET),
        ('tiny_imagenet', [48] * 2 + [24] * 2, IMAGENET),
    ],
)
def test_training_batches(name, sizes, statistics, imagenet):
    config = local_config(name, imagenet)
    loader_cfg = config.train_dataloader
    loader_cfg.update(batch_size=2, num_workers=0, persistent_workers=False)
    batch = next(iter(Runner.build_dataloader(loader_cfg, seed=0)))
    assert [tuple(view.shape) for view in batch['inputs']] == [(2, 3, s, s) for s in sizes]
    assert all(view.dtype == torch.uint8 for view in batch['inputs'])
    views = MODELS.build(config.data_preprocessor)(batch)['inputs']
    expected = batch['inputs'][-1].double()
    for channel, (mean, std) in enumerate(statistics):
        torch.testing.assert_close(
            views[-1][:, channel].double(), (expected[:, channel] - mean) / std, atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(
    ('name', 'size', 'lengths'),
    [
        ('photo_patches', 32, (10_000, 1_000)),
        ('fashion_mnist', 28, (60_000, 10_000)),
        ('image_folder', 224, (4, 4)),
        ('tiny_imagenet', 48, (4, 4)),
    ],
)
def test_knn_items(name, size, lengths, imagenet):
    config = local_config(name, imagenet)
    datasets = [DATASETS.build(config[f'knn_{split}_dataset']) for split in ('train', 'test')]
    assert tuple(map(len, datasets)) == lengths
    for dataset in datasets:
        item = dataset[len(dataset) - 1]
        assert item['inputs'].shape == (3, size, size)
        assert item['inputs'].dtype == torch.uint8
        assert item['data_samples'].gt_label.tolist() == [dataset.get_gt_labels()[-1]]
        again = dataset[len(dataset) - 1]
        assert torch.equal(item['inputs'], again['inputs'])
        assert dataset.test_mode


def test_one_setting_says_where_tiny_imagenet_is(imagenet):
    parts = ('knn_train_dataset', 'knn_test_dataset')
    configs = {
        'data/tiny_imagenet': load('tiny_imagenet'),
        str(imagenet): local_config('tiny_imagenet', imagenet),
        "/it's {mine}": local_config('tiny_imagenet', "/it's {mine}"),
    }
    for folder, cfg in configs.items():
        assert cfg.train_dataloader.dataset.data_root == f'{folder}/train'
        assert [cfg[part].data_root for part in parts] == [f'{folder}/train', f'{folder}/val']


@pytest.mark.parametrize('name', ['image_folder', 'tiny_imagenet'])
def test_knn_images_are_rgb_like_the_crops(name, imagenet):
    config = local_config(name, imagenet)
    dataset = DATASETS.build(config.knn_train_dataset)
    assert dataset[0]['inputs'][:, 5, 5].tolist() == [255, 0, 0]


def test_patches_for_knn_are_rgb():
    patches = load('photo_patches')
    dataset = DATASETS.build(patches.knn_test_dataset)
    bgr = torch.from_numpy(dataset.images[7]).permute(2, 0, 1)
    assert torch.equal(dataset[7]['inputs'], bgr.flip(0))


def test_fashion_mnist_is_normalised_by_its_own_statistics(imagenet):
    images = DATASETS.build(local_config('fashion_mnist', imagenet).knn_train_dataset).images
    assert FASHION_MNIST[0] == (round(images.mean(), 2), round(images.std(), 2))
