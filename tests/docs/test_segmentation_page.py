"""What docs/segmentation.md shows works as it stands there."""

import re

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import MODELS
from pages import blocks
from PIL import Image
from tiny.segmentation import FOLDER

from poa_mm.registry import DATASETS

TEXTS = {block.file.name: block.text for block in blocks('docs/segmentation.md') if block.file}


def snippet(name):
    """A config of the page, by its file name, its base where it lies."""
    return re.sub(r"_base_ = './(\S+)'", rf"_base_ = '{FOLDER}/\1'", TEXTS[name])


@pytest.fixture
def own(tmp_path):
    """The config for a reader's own masks, on images that are there."""
    (tmp_path / 'mine.py').write_text(snippet('streets.py').replace('data/streets', str(tmp_path)))
    for part in ('train', 'val'):
        mask = np.repeat([[0, 1, 2, 255]], 600, axis=0).repeat(160, axis=1).astype(np.uint8)
        for folder, suffix, content in (
            ('images', 'jpg', np.stack([mask] * 3, axis=-1)),
            ('masks', 'png', mask),
        ):
            (tmp_path / folder / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(tmp_path / folder / part / f'0.{suffix}')
    return Config.fromfile(tmp_path / 'mine.py')


def test_masks_of_one_s_own(own):
    assert own.model.decode_head.num_classes == own.model.auxiliary_head.num_classes == 3
    for loader in (own.train_dataloader, own.val_dataloader, own.test_dataloader):
        dataset = DATASETS.build({**loader.dataset, '_scope_': 'mmseg'})
        labels = dataset[0]['data_samples'].gt_sem_seg.data.unique().tolist()
        assert set(labels) <= {0, 1, 2, 255}
        assert len(labels) > 1
        assert dataset.metainfo['classes'] == ('road', 'building', 'sky')
    assert own.train_dataloader.batch_size == 2


def test_recomputing_activations_keeps_the_safety_hooks(tmp_path):
    (tmp_path / 'mine.py').write_text(snippet('upernet_poa_vit-b_recompute.py'))
    cfg = Config.fromfile(tmp_path / 'mine.py')
    kinds = [hook.type for hook in cfg.custom_hooks]
    assert {'PretrainedCheckHook', 'LabelCheckHook'} < set(kinds)
    assert kinds[-1] == 'ActivationCheckpointHook'
    cfg.model.backbone.init_cfg = None
    model = MODELS.build({**cfg.model, '_scope_': 'mmseg'})
    (name,) = cfg.custom_hooks[-1].modules
    assert len(model.get_submodule(name)) == 12
