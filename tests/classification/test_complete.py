"""What the data and the checkpoint fill into the config for a folder of images."""

import copy

import pytest
import torch
from helpers import load_config
from tiny.checkpoints import save_checkpoint
from tiny.families import IMAGES, TINY
from tiny.networks import randomise
from tiny.photos import write_photos

from poa_mm.checkpoints import save_backbone
from poa_mm.checkpoints.preprocessing import preprocessing_of
from poa_mm.classification.complete import complete
from poa_mm.export import export_subnet
from poa_mm.models.backbones.pretrained import load_into
from poa_mm.registry import ELASTIC_BACKBONES, build_model

CONFIG = 'cls/finetune_poa_folder.py'


def folder_config(checkpoint, root='photos', **options):
    cfg = load_config(CONFIG)
    cfg.merge_from_dict(
        {
            'train_dataloader.dataset.data_root': str(root),
            'model.backbone.init_cfg.checkpoint': str(checkpoint),
            **options,
        }
    )
    return cfg


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp('photos'), ('cat', 'dog', 'emu'), number=2)


@pytest.fixture(scope='module', params=TINY)
def supernet(request, tmp_path_factory):
    """A checkpoint of each family, with the supernet in it."""
    net = randomise(ELASTIC_BACKBONES.build(copy.deepcopy(TINY[request.param])))
    net.eval()
    path = tmp_path_factory.mktemp(request.param) / 'iter_1.pth'
    return save_checkpoint(path, net, config=IMAGES), net


def test_the_sub_network_is_the_extracted_one(supernet, photos, tmp_path):
    path, net = supernet
    from_supernet = folder_config(f'subnet://smallest@{path}', photos)
    complete(from_supernet)
    images = preprocessing_of(net, IMAGES)
    save_backbone(net, 'smallest', tmp_path / 's.pth', preprocessing=images.as_dict())
    from_file = folder_config(tmp_path / 's.pth', photos)
    complete(from_file)
    export_subnet(net, 'smallest', tmp_path / 's.safetensors', 'safetensors', checkpoint=path)
    from_export = folder_config(tmp_path / 's.safetensors', photos)
    complete(from_export)
    inputs = torch.randn(2, 3, *images.image_size)
    features = []
    for cfg in (from_supernet, from_file, from_export):
        model = build_model(cfg.model)
        load_into(model.backbone, model.backbone.init_cfg)
        model.eval()
        features.append(model.extract_feat(inputs)[-1])
        assert model.head.num_classes == 3
        assert model.data_preprocessor.mean.flatten().tolist() == [102.0, 51.0, 76.5]
        for name in ('train', 'val', 'test'):
            dataset = cfg[f'{name}_dataloader'].dataset
            assert dataset.metainfo.classes == ('cat', 'dog', 'emu')
            assert dataset.data_root == str(photos)
    assert torch.equal(features[0], features[1])
    assert torch.equal(features[0], features[2])


def parts(cfg):
    """What each data set takes: its folder, and the share that is held out."""
    datasets = [cfg[f'{name}_dataloader'].dataset for name in ('train', 'val', 'test')]
    return [(dataset.data_root, dataset.held_out) for dataset in datasets]


def test_images_to_validate_on_from_elsewhere(photos):
    train, val = str(photos / 'train'), str(photos / 'val')
    cfg = folder_config('none', train, **{'train_dataloader.dataset.held_out': 0.5})
    cfg.model.backbone.type = 'VisionTransformer'  # named: nothing is read of a checkpoint
    again = copy.deepcopy(cfg)
    complete(cfg)
    assert parts(cfg) == [(train, 0.5)] * 3
    again.val_dataloader.dataset.data_root = val
    same = copy.deepcopy(again)
    complete(again)
    assert parts(again) == [(train, None), (val, None), (val, None)]  # no image that is trained on
    same.val_dataloader.dataset.data_root = f'{train}/../train/'  # else both would take all
    complete(same)
    assert [share for _, share in parts(same)] == [0.5] * 3


@pytest.mark.parametrize('augments', [[], None])
def test_no_ways_to_mix_images_mix_none(augments):
    cfg = load_config('cls/finetune_poa_vit-s.py')
    mixing = copy.deepcopy(cfg.model.train_cfg)
    complete(cfg)
    assert cfg.model.train_cfg == mixing
    cfg.model.train_cfg.augments = augments
    complete(cfg)
    model = cfg.model
    model.backbone = {'type': 'VisionTransformer', 'arch': 'deit-tiny'}
    assert build_model(model).data_preprocessor.batch_augments is None
