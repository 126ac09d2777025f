"""Crops, batch and network are checked against one another before the first step."""

from types import SimpleNamespace

import pytest
from helpers import CONFIG
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, RepeatDataset
from tiny.families import TINY_RESNET, TINY_SWIN
from tiny.networks import TINY_POA

from poa_mm.engine import launch
from poa_mm.engine.hooks import view_check
from poa_mm.engine.hooks.view_check import check_views
from poa_mm.registry import DATASETS, MODELS


def loader(batch_size=4, wrap=None, **crops):
    crops = {'global_size': 16, 'local_size': 8, 'num_local': 2, 'blur_sigma': (0.1, 0.5), **crops}
    dataset = {
        'type': 'PhotoPatches',
        'split': 'train',
        'patches_per_photo': 1,
        'pipeline': [{'type': 'MultiCrop', **crops}],
    }
    built = DATASETS.build(dataset)
    return SimpleNamespace(batch_size=batch_size, dataset=wrap(built) if wrap else built)


def poa(backbone=None, **changes):
    cfg = {**TINY_POA, **changes}
    return MODELS.build({**cfg, 'backbone': backbone or TINY_POA['backbone']})


@pytest.mark.parametrize(
    ('crops', 'words'),
    [
        ({'num_local': 0}, 'num_local=0, but POA learns from at least one local crop'),
        ({'global_size': 18}, 'global_size=18, .* would see zeros beyond the rim; take 16 or 20'),
        ({'local_size': 10}, 'local_size=10, .* take 8 or 12'),
        ({'local_size': 3}, 'local_size=3, .* take 4'),
        ({'local_size': (8, 14)}, r'local_size=\(8, 14\), .* take 12 or 16 for 14'),
    ],
)
def test_crops_that_a_vit_cannot_take(crops, words):
    with pytest.raises(ValueError, match=words):
        check_views(poa(), loader(**crops))


def test_channels_of_crops_network_and_normalisation():
    with pytest.raises(ValueError, match='crops of 1 channels, the backbone takes images of 3'):
        check_views(poa(), loader(channels=1))
    for wrong in ({'mean': [127.5], 'std': [50.0] * 3}, {'mean': [127.5] * 3, 'std': [50.0]}):
        name = min(wrong, key=lambda key: len(wrong[key]))
        preprocessor = {'type': 'SelfSupDataPreprocessor', **wrong}
        with pytest.raises(ValueError, match=rf'data_preprocessor.{name} has 1 values, but crops'):
            check_views(poa(data_preprocessor=preprocessor), loader())


def test_a_batch_larger_than_the_data_set_is_told():
    images = len(loader().dataset)
    with pytest.MonkeyPatch.context() as patch:
        told = []
        patch.setattr(view_check, 'print_log', lambda text, **_: told.append(text))
        check_views(poa(), loader(batch_size=images))
        assert not told
        check_views(poa(), loader(batch_size=images + 1))
    assert told == [
        f'batch_size={images + 1}, but the data set has {images} images: every batch holds some of '
        'them several times'
    ]


def test_what_patches_without_padding_do_not_see():
    backbone = {**TINY_POA['backbone'], 'patch_cfg': {'padding': 0}}
    with pytest.raises(ValueError, match=r'global_size=18, .* would not see the rim'):
        check_views(poa(backbone), loader(global_size=18))
    overlapping = {**TINY_POA['backbone'], 'patch_cfg': {'stride': 2}}
    check_views(poa(overlapping), loader(global_size=18, local_size=(8, 12)))


def test_a_swin_that_does_not_pad(recwarn):
    swin = {**TINY_SWIN, 'pad_small_map': False}
    with pytest.raises(
        ValueError, match=r'cannot take the crops of MultiCrop with local_size=32: '
    ):
        check_views(poa(swin), loader(global_size=128, local_size=32))
    check_views(poa(TINY_SWIN), loader(global_size=64, local_size=32))


def test_a_resnet_takes_any_size():
    check_views(poa(TINY_RESNET), loader(global_size=50, local_size=33))


def test_koleo_needs_two_images():
    with pytest.raises(ValueError, match='KoLeo needs at least 2 images'):
        check_views(poa(), loader(batch_size=1))
    check_views(poa(koleo_weight=0), loader(batch_size=1))


@pytest.mark.parametrize(
    'wrap',
    [lambda d: RepeatDataset(d, 2), lambda d: ConcatDataset([d, d])],
    ids=['repeated', 'joined'],
)
def test_crops_within_what_wraps_a_data_set(wrap):
    check_views(poa(), loader(wrap=wrap))
    with pytest.raises(ValueError, match='num_local=0'):
        check_views(poa(), loader(wrap=wrap, num_local=0))


def test_a_run_ends_before_its_first_step(tmp_path):
    cfg = Config.fromfile(str(CONFIG))
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = tmp_path.name
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.patches_per_photo = 1
    cfg.train_dataloader.dataset.pipeline[0].global_size = 30
    with pytest.raises(ValueError, match='global_size=30'):
        launch.build_runner(cfg).train()
