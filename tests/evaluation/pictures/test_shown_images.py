"""Images in pictures are those that the network sees."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny.families import IMAGES, TINY, build
from tiny.photos import write_class

from poa_mm.checkpoints.preprocessing import Preprocessing, preprocessing_of
from poa_mm.evaluation import MeasuredSupernet, open_measured
from poa_mm.evaluation.pictures.shown_images import Frame, image_paths, shown_images


@pytest.mark.parametrize('family', TINY)
def test_inputs_are_the_normalised_pixels_in_whole_patches(family, tmp_path):
    net = build(family, **TINY[family])
    about = preprocessing_of(net, IMAGES, 64)
    frame = Frame.of(MeasuredSupernet(net, preprocessing=about))
    assert frame.whole
    Image.effect_noise((150, 100), 90).convert('RGB').save(tmp_path / 'wide.png')
    (shown,), reasons = shown_images([str(tmp_path / 'wide.png')], frame)
    assert not reasons
    assert shown.pixels.shape == (64, 96, 3)
    mean, std = (torch.tensor(IMAGES['data_preprocessor'][key]) for key in ('mean', 'std'))
    expected = ((torch.tensor(shown.pixels.astype(np.float32)) - mean) / std).permute(2, 0, 1)
    torch.testing.assert_close(shown.inputs, expected[None], rtol=1e-4, atol=1e-4)
    size = shown.inputs.shape[-2:]
    ((_, tokens),) = MeasuredSupernet(net, net.subnets[:1]).tokens(shown.inputs)
    assert tokens.grid == (size[0] // frame.step[0], size[1] // frame.step[1])


def test_networks_for_one_size_get_images_of_that_size():
    frame = Frame.of(open_measured('vit_tiny_patch16_224', image_size=32))
    assert (frame.whole, frame.step, frame.size_of(20, 90)) == (False, (16, 16), (32, 32))


@pytest.mark.parametrize(
    ('size', 'expected'), [((48, 48), (48, 48)), ((1000, 500), (96, 48)), ((10, 999), (48, 4792))]
)
def test_sizes(size, expected):
    assert Frame(Preprocessing((48, 48)), (8, 8), True).size_of(*size) == expected


def test_unreadable_images_are_named_and_skipped(tmp_path):
    write_class(tmp_path / 'cat', number=2)
    bad = tmp_path / 'cat' / '0bad.png'
    bad.write_bytes(b'no image')
    frame = Frame(Preprocessing((8, 8)), (4, 4), True)
    paths = image_paths([tmp_path, tmp_path / 'cat' / '1.png'])
    assert [path.rsplit('/')[-1] for path in paths] == ['0.png', '0bad.png', '1.png', '1.png']
    shown, (reason,) = shown_images(paths, frame)
    assert [one.name for one in shown] == ['0.png', '1.png', '1.png']
    assert f'{bad} cannot be read as an image' in reason
    with pytest.raises(ValueError, match=r'0bad\.png cannot be read'):
        shown_images([str(bad)], frame)
    with pytest.raises(FileNotFoundError, match='no image or folder at'):
        image_paths([tmp_path / 'none'])
