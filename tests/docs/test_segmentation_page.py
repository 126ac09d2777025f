"""What docs/segmentation.md shows works as it stands there."""

import re

import numpy as np
import pytest
from helpers import ROOT
from mmengine.config import Config
from PIL import Image
from segmentation import FOLDER

from poa_mm.registry import DATASETS

PAGE = ROOT / 'docs' / 'segmentation.md'


@pytest.fixture
def own(tmp_path):
    """The config of the page's section on one's own masks, on images that are there."""
    (code,) = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)
    code = code.replace("'./upernet_poa_vit-s.py'", repr(str(FOLDER / 'upernet_poa_vit-s.py')))
    (tmp_path / 'mine.py').write_text(code.replace('data/mine', str(tmp_path)))
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


def test_all_commands_name_files_and_options_that_exist():
    text = PAGE.read_text()
    for path in re.findall(r'(?:configs|tools|benchmarks)/[\w./-]+\.(?:py|sh|md)', text):
        assert (ROOT / path).is_file(), path
    tool = (ROOT / 'tools' / 'test.py').read_text()
    for option in ('--tta', '--show-dir', '--out'):
        assert option in text
        assert option in tool
