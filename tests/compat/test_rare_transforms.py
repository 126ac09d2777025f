"""imgaug and imagecorruptions wait for a transform that uses them."""

import subprocess
import sys

import pytest

pytest.importorskip('mmdet.datasets.transforms.generate_line', reason='mmdet without lanes')

SCRIPT = """
import sys
import poa_mm
import mmdet.datasets
assert not {'imagecorruptions', 'imgaug', 'numba'} & set(sys.modules)
from mmdet.datasets.transforms.generate_line import ImageAug, LineString
resize = {'name': 'Resize', 'parameters': {'size': {'height': 8, 'width': 16}}, 'p': 1.0}
import imgaug.augmenters as iaa
pipeline = ImageAug([resize]).pipeline
assert isinstance(pipeline, iaa.Sequential)
image = pipeline.augment_image(__import__('numpy').zeros((4, 4, 3), 'uint8'))
assert image.shape == (8, 16, 3), image.shape
assert type(LineString([(0, 1), (2, 3)])).__module__ == 'imgaug.augmentables.lines'
print('as before')
"""


def test_data_sets_are_imported_without_it_and_transforms_work():
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', SCRIPT], capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1:] == ['as before'], done.stderr
