"""What docs/detection.md shows works as it stands there."""

import pytest
from helpers import ROOT
from mmengine.config import Config
from pages import blocks
from tiny.scenes import CLASSES, write_coco

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.models.backbones.pretrained import _misfits
from poa_mm.registry import DATASETS

FOLDER = ROOT / 'configs' / 'det'
BASE = './cascade_poa_vit-s.py'


@pytest.fixture
def page(tmp_path):
    """A config of the page, by its file name, with other values in place of some."""
    texts = {block.file.name: block.text for block in blocks('docs/detection.md') if block.file}

    def load(name, **changes):
        text = texts[name].replace(repr(BASE), repr(str(FOLDER / BASE)))
        for old, new in changes.items():
            text = text.replace(old.replace('__', '/'), new)
        path = tmp_path / name
        path.write_text(text)
        return Config.fromfile(path)

    return load


def test_another_sub_network(page):
    cfg = page('cascade_poa_w576-d16.py')
    supernet = Config.fromfile(ROOT / 'configs/pretrain/poa_vit-l.py').model.backbone
    state = build_on_meta(supernet).subnet_state_dict('w576-d16')
    model = build_on_meta({'_scope_': 'mmdet', **cfg.model})
    assert model.backbone.out_indices == [4, 7, 9, 15]
    assert 'subnet://w576-d16@' in cfg.model.backbone.init_cfg.checkpoint
    assert _misfits(model.backbone, state) == []
    assert model.neck[0].upsample_2x[0].in_channels == 576


def test_data_of_one_s_own(page, tmp_path):
    write_coco(tmp_path)
    (tmp_path / 'train2017').rename(tmp_path / 'images')
    for split in ('train', 'val'):
        text = (tmp_path / 'annotations' / 'instances_train2017.json').read_text()
        (tmp_path / f'{split}.json').write_text(text)
    cfg = page('pets.py', data__pets=str(tmp_path), **{"('cat', 'dog')": repr(CLASSES)})
    assert [head.num_classes for head in cfg.model.roi_head.bbox_head] == [3, 3, 3]
    assert cfg.model.roi_head.mask_head.num_classes == 3
    assert cfg.val_evaluator.ann_file == str(tmp_path / 'val.json')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = DATASETS.build({**loader.dataset, '_scope_': 'mmdet'})
        assert len(dataset) == 4
        sample = dataset[1]['data_samples']
        assert dataset[1]['inputs'].shape[0] == 3
        assert 'gt_instances' in sample
        assert dataset.metainfo['classes'] == CLASSES


@pytest.mark.parametrize('classes', [CLASSES[::-1], ('cat', 'dog')])
def test_classes_are_named_as_the_page_says(page, tmp_path, classes):
    write_coco(tmp_path)
    annotations = tmp_path / 'annotations' / 'instances_train2017.json'
    annotations.rename(tmp_path / 'train.json')
    cfg = page('pets.py', data__pets=str(tmp_path), **{"('cat', 'dog')": repr(classes)})
    assert {'type': 'ClassCheckHook'} in cfg.custom_hooks
    with pytest.raises(ValueError, match=r'must be in the order of|has no classes'):
        DATASETS.build({**cfg.train_dataloader.dataset, '_scope_': 'mmdet'})


def test_recomputing_activations_keeps_the_checks(page):
    cfg = page('cascade_poa_vit-s_recompute.py')
    kinds = [hook.type for hook in cfg.custom_hooks]
    assert kinds == ['PretrainedCheckHook', 'ClassCheckHook', 'ActivationCheckpointHook']
    model = build_on_meta({'_scope_': 'mmdet', **cfg.model})
    assert len(model.get_submodule(cfg.custom_hooks[-1].modules[0])) == 12
