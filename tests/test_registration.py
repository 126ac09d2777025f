"""What ``import poa_mm`` imports, and what the first look into a registry does."""

import json
import re
import subprocess
import sys

import pytest
from helpers import ROOT

# Parts of detectors and segmentors, which configs import by name.
OPTIONAL = (
    'poa_mm.detection.coco',
    'poa_mm.detection.float32',
    'poa_mm.detection.mmdet_modules',
    'poa_mm.segmentation.frozen',
    'poa_mm.segmentation.head_iou',
    'poa_mm.segmentation.mmseg_modules',
    'poa_mm.segmentation.sweep',
    'poa_mm.segmentation.trainable_constructor',
)
SCRIPT = """
import json, sys

def loaded(*names):
    return [name for name in names if name in sys.modules]

import poa_mm
found = {'light': loaded('torch', 'numpy', 'mmengine', 'mmcv', 'mmpretrain', 'poa_mm.engine')}

from mmpretrain.registry import MODELS
from mmengine.registry import HOOKS
from poa_mm.registry import ELASTIC_BACKBONES
found['before'] = loaded('poa_mm.models', 'mmpretrain.models')
found['listed'] = sorted(ELASTIC_BACKBONES.module_dict)
found['known'] = ['POA' in MODELS.module_dict, 'POA' in MODELS, 'POAHook' in MODELS]
found['hook'] = HOOKS.get('ClassCheckHook').__name__
found['heavy'] = loaded('mmdet.models', 'mmseg.models', 'matplotlib', 'sklearn', 'skimage')
found['modules'] = sorted(name for name in sys.modules if name.startswith('poa_mm.'))

import mmpretrain.models.utils as utils
found['missing'] = utils.ResLayerExtraNorm is None
import mmdet.models
from mmdet.registry import MODELS as DETECTORS
found['given'] = DETECTORS.get('ResLayerExtraNorm') is utils.ResLayerExtraNorm is not None

import mmpretrain.datasets, mmdet.datasets, mmseg.datasets
found['rare'] = loaded('imagecorruptions', 'imgaug', 'numba')
try:
    from mmdet.datasets.transforms.generate_line import ImageAug, LineString
except ModuleNotFoundError:
    found['lanes'] = None
else:
    import numpy
    resize = {'name': 'Resize', 'parameters': {'size': {'height': 8, 'width': 16}}, 'p': 1.0}
    pipeline = ImageAug([resize]).pipeline
    import imgaug.augmenters as iaa
    resized = pipeline.augment_image(numpy.zeros((4, 4, 3), 'uint8'))
    line = type(LineString([(0, 1), (2, 3)])).__module__
    found['lanes'] = [isinstance(pipeline, iaa.Sequential), resized.shape, line]
print(json.dumps(found))
"""


@pytest.fixture(scope='module')
def found():
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', SCRIPT], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    *printed, last = done.stdout.splitlines()
    return {**json.loads(last), 'printed': printed}


def test_importing_the_package_imports_nothing_else(found):
    assert found['light'] == []
    assert found['before'] == []


def test_a_lookup_registers_all_classes(found):
    families = ['ElasticResNet', 'ElasticSwinTransformer', 'ElasticVisionTransformer']
    assert found['listed'] == families
    assert found['known'] == [True, True, False]
    assert found['hook'] == 'ClassCheckHook'


def test_no_module_that_registers_is_forgotten(found):
    registering = {
        '.'.join(path.relative_to(ROOT).with_suffix('').parts)
        for path in (ROOT / 'poa_mm').rglob('*.py')
        if re.search(r'(?m)^@\S+\.register_(module|scheme)\(', path.read_text())
    }
    forgotten = {name for name in registering if not name.startswith(OPTIONAL)}
    forgotten -= set(found['modules'])
    assert not forgotten, 'add them to poa_mm.registration.MODULES, or import them in their room'


def test_nothing_is_imported_that_only_others_need(found):
    assert found['heavy'] == []


def test_parts_of_detectors_in_mmpretrain_wait_for_mmdet(found):
    assert found['missing']
    assert found['given']


def test_importing_prints_nothing(found):
    """Neither our package nor mmpretrain, mmdet and mmseg with their data sets."""
    assert found['printed'] == []


def test_imgaug_and_imagecorruptions_wait_for_a_transform_that_uses_them(found):
    assert found['rare'] == []


def test_lane_transforms_work_as_before(found):
    if found['lanes'] is None:
        pytest.skip('mmdet without lanes')
    assert found['lanes'] == [True, [8, 16, 3], 'imgaug.augmentables.lines']
