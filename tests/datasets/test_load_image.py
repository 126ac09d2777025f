"""Images of detection and segmentation are read as those of pre-training are."""

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.registry import TRANSFORMS, DefaultScope
from mmseg.datasets import BaseSegDataset
from PIL import Image

import poa_mm.detection.mmdet_modules
import poa_mm.segmentation.mmseg_modules  # noqa: F401
from poa_mm.datasets import UnreadableImageError
from poa_mm.datasets.load_image import LoadImage
from poa_mm.errors import InputError

RGB = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def load(path, **options):
    return LoadImage(**options).transform({'img_path': str(path)})


def broken_jpeg(path):
    Image.fromarray(RGB).save(path)
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_the_name_of_mmcv_means_this_class(scope):
    """In pipelines of both libraries, and in what their inference tools put in its place."""
    with DefaultScope.overwrite_default_scope(scope):
        loader = TRANSFORMS.build({'type': 'LoadImageFromFile', 'backend_args': None})
        assert type(loader) is LoadImage
        inference = TRANSFORMS.build({'type': 'InferencerLoader'})
        assert type(inference.from_file) is LoadImage
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        loader = TRANSFORMS.build({'type': 'LoadImageFromFile'})
        assert type(loader) is LoadImageFromFile


def test_a_photograph_is_what_mmcv_reads(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, options in (('a.jpg', {'quality': 95}), ('b.png', {}), ('c.jpg', {'exif': exif})):
        Image.fromarray(RGB).save(tmp_path / name, **options)
        results = load(tmp_path / name)
        expected = LoadImageFromFile().transform({'img_path': str(tmp_path / name)})
        assert np.abs(results['img'].astype(int) - expected['img']).max() <= 1
        assert {key: results[key] for key in ('img_shape', 'ori_shape')} == {
            key: expected[key] for key in ('img_shape', 'ori_shape')
        }


def test_float32(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'a.png')
    image = load(tmp_path / 'a.png', to_float32=True)['img']
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, RGB[..., ::-1])


def test_12_bits_are_not_black(tmp_path):
    samples = (RGB[..., 0].astype(np.uint16) << 4) + 15
    samples[0, 0] = 4095
    Image.fromarray(samples).save(tmp_path / 'a.png')
    np.testing.assert_array_equal(load(tmp_path / 'a.png')['img'][..., 2], samples >> 4)


def test_unreadable_images_are_named(tmp_path):
    broken_jpeg(tmp_path / 'broken.jpg')
    Image.fromarray(RGB[:1].repeat(101, axis=1)[:, : 3 * 101, :]).save(tmp_path / 'long.png')
    for name, reason in (
        ('broken.jpg', 'image file is truncated'),
        ('missing.jpg', 'No such file'),
        ('long.png', '303 x 1 pixels, more than 100 times as long as wide'),
    ):
        with pytest.raises(UnreadableImageError, match=f'{name} cannot be read .*{reason}'):
            load(tmp_path / name)
        assert load(tmp_path / name, ignore_empty=True) is None
    assert issubclass(UnreadableImageError, InputError)  # one line, in mid-run as well


def test_other_ways_to_decode_are_left_to_mmcv(tmp_path):
    rgba = np.concatenate([RGB, RGB[..., :1]], axis=-1)
    Image.fromarray(rgba).save(tmp_path / 'a.png')
    image = load(tmp_path / 'a.png', color_type='unchanged')['img']
    np.testing.assert_array_equal(image, rgba[..., [2, 1, 0, 3]])
    (tmp_path / 'b.png').write_bytes(b'no image')
    with pytest.raises(UnreadableImageError, match=r'b\.png cannot be read as an image'):
        load(tmp_path / 'b.png', color_type='unchanged')


def test_training_draws_another_image_in_the_place_of_a_broken_one(tmp_path):
    for name in ('a', 'b'):
        Image.fromarray(RGB).save(tmp_path / f'{name}.jpg')
    broken_jpeg(tmp_path / 'b.jpg')
    with DefaultScope.overwrite_default_scope('mmseg'):
        settings = {
            'data_prefix': {'img_path': str(tmp_path)},
            'metainfo': {'classes': ('a', 'b')},
        }
        loading = {'type': 'LoadImageFromFile', 'ignore_empty': True}
        train = BaseSegDataset(**settings, pipeline=[loading])
        test = BaseSegDataset(**settings, pipeline=[{'type': 'LoadImageFromFile'}], test_mode=True)
    assert {train[1]['img_path'] for _ in range(10)} == {str(tmp_path / 'a.jpg')}
    with pytest.raises(UnreadableImageError, match=r'b\.jpg cannot be read'):
        test[1]
