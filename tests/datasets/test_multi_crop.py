import random
import warnings

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, worker_init_fn
from mmpretrain.registry import MODELS, TRANSFORMS
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import pil_to_tensor, resized_crop

from poa_mm.datasets import MultiCrop, SampleIndex

TINY = {'global_size': 32, 'local_size': 16, 'num_local': 4}
NO_JITTER = {'color_jitter': (0.0, 0.0, 0.0, 0.0), 'blur_prob': (0.0, 0.0, 0.0)}
NO_CROP = {'global_scale': (1.0, 1.0), 'local_scale': (1.0, 1.0)}


def photo(height=40, width=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def constant(blue, green, red, size=32):
    return np.full((size, size, 3), (blue, green, red), dtype=np.uint8)


def crops(transform, image):
    return transform({'img': image, 'img_shape': image.shape[:2]})['img']


def within_5_sigma(count, total, prob):
    return abs(count - total * prob) < 5 * (total * prob * (1 - prob)) ** 0.5


def test_defaults_are_the_papers_table_6():
    views = crops(MultiCrop(), photo(120, 160))
    assert [tuple(view.shape) for view in views] == [(3, 224, 224)] * 2 + [(3, 96, 96)] * 8
    assert all(view.dtype == torch.uint8 for view in views)
    text = repr(MultiCrop())
    for value in ('(0.32, 1.0)', '(0.05, 0.32)', '(1.0, 0.1, 0.5)', '(0.4, 0.4, 0.2, 0.1)'):
        assert value in text


def test_crops_that_are_not_square():
    """Of the shape of what they show, but for the squeeze that square ones have, too."""
    sizes = {'global_size': (16, 64), 'local_size': [24, 12]}
    transform = MultiCrop(**sizes, num_local=1, blur_sigma=(0.1, 0.5), global_scale=(0.1, 0.2))
    views = crops(transform, photo())
    assert [tuple(view.shape) for view in views] == [(3, 16, 64)] * 2 + [(3, 24, 12)]
    shapes = [box[2:] for _ in range(50) for box in transform._boxes(400, 500)]
    for (height, width), wanted in zip(shapes, [4, 4, 0.5] * 50, strict=True):
        assert 0.7 * wanted < width / height < 1.4 * wanted
    with pytest.raises(ValueError, match=r'global_size must be a side .* got \(16, 16, 3\)'):
        MultiCrop(global_size=(16, 16, 3))
    with pytest.raises(ValueError, match=r'local_size=\(64, 4\) is too small'):
        MultiCrop(local_size=(64, 4))


def test_grey_crops():
    torch.manual_seed(0)
    transform = MultiCrop(**TINY, **NO_JITTER, channels=1)
    views = crops(transform, constant(10, 20, 30))
    assert [tuple(view.shape) for view in views] == [(1, 32, 32)] * 2 + [(1, 16, 16)] * 4
    # 0.299 · 30 + 0.587 · 20 + 0.114 · 10 = 21.85, but for solarisation
    assert {int(value) for view in views for value in view.unique()} == {22}
    jittered = crops(MultiCrop(**TINY, channels=1), photo())
    assert all(len(view.unique()) > 1 for view in jittered)
    with pytest.raises(ValueError, match=r'channels must be one of \(3, 1\), got 4'):
        MultiCrop(channels=4)


def test_a_9_pixel_kernel_fits_a_16_pixel_crop():
    transform = MultiCrop(**TINY, blur_prob=(1.0, 1.0, 1.0))
    views = crops(transform, photo())
    assert [tuple(view.shape) for view in views] == [(3, 32, 32)] * 2 + [(3, 16, 16)] * 4


def test_local_crops_can_be_left_out():
    assert len(crops(MultiCrop(global_size=32, local_size=16, num_local=0), photo())) == 2


def test_crops_are_rgb_and_the_stale_shape_is_gone():
    torch.manual_seed(0)
    transform = MultiCrop(**TINY, **NO_JITTER)
    seen = {tuple(crops(transform, constant(10, 20, 30))[0][:, 0, 0].tolist()) for _ in range(40)}
    # 0.299 · 30 + 0.587 · 20 + 0.114 · 10 = 21.85
    assert seen == {(30, 20, 10), (22, 22, 22)}
    assert 'img_shape' not in transform({'img': photo(), 'img_shape': (40, 48)})


def test_the_whole_image_at_its_own_size_stays_as_it_is_or_is_flipped():
    """Random crop, jitter and blur off: only flip, grayscale and solarisation remain."""
    torch.manual_seed(0)
    image = photo(32, 32)
    rgb = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    transform = MultiCrop(global_size=32, local_size=16, num_local=0, **NO_JITTER, **NO_CROP)
    plain = flipped = colour = 0
    for _ in range(600):
        view = crops(transform, image)[0]
        if view.shape != rgb.shape or torch.equal(view[0], view[1]):
            continue
        colour += 1
        plain += torch.equal(view, rgb)
        flipped += torch.equal(view, rgb.flip(-1))
    # The aspect ratio is still drawn from (3/4, 4/3): a square of full area comes only by fallback.
    assert plain + flipped > 50
    assert within_5_sigma(plain, plain + flipped, 0.5)
    assert within_5_sigma(colour, 600, 0.8)


@pytest.mark.parametrize('prob', [None, 0.6])
def test_grayscale_in_a_share_of_all_crops(prob):
    torch.manual_seed(0)
    transform = MultiCrop(**TINY, **NO_JITTER, **({} if prob is None else {'gray_prob': prob}))
    views = [view for _ in range(300) for view in crops(transform, constant(0, 100, 0))]
    grey = sum(torch.equal(view[0], view[1]) for view in views)
    assert within_5_sigma(grey, len(views), 0.2 if prob is None else prob)


def test_crops_can_keep_their_colours_and_tones():
    transform = MultiCrop(**TINY, **NO_JITTER, gray_prob=0.0, solarize_prob=0.0)
    for view in (view for _ in range(20) for view in crops(transform, constant(0, 100, 200))):
        assert view[:, 0, 0].tolist() == [200, 100, 0]


def test_jitter_in_four_fifths_of_all_crops_and_within_its_strength():
    torch.manual_seed(0)
    transform = MultiCrop(**TINY, color_jitter=(0.4, 0.0, 0.0, 0.0), blur_prob=(0, 0, 0))
    image = constant(100, 100, 100)
    values = [view[0, 0, 0].item() for _ in range(300) for view in crops(transform, image)]
    values = [255 - value if value > 140 else value for value in values]  # undo solarisation
    assert min(values) >= 60 - 1
    assert max(values) <= 140
    unchanged = sum(value == 100 for value in values)
    # Of the jittered ones, about 1 in 80 rounds to 100 as well.
    assert within_5_sigma(unchanged, len(values), 0.2 + 0.8 / 80)


@pytest.mark.parametrize('prob', [None, 0.6])
def test_solarisation_only_in_global_2_and_in_a_share_of_them(prob):
    torch.manual_seed(0)
    transform = MultiCrop(**TINY, **NO_JITTER, **({} if prob is None else {'solarize_prob': prob}))
    counts = np.zeros(6, dtype=int)
    for _ in range(500):
        values = [view[0, 0, 0].item() for view in crops(transform, constant(200, 200, 200))]
        assert set(values) <= {200, 55}
        counts += np.array(values) == 55
    assert counts[[0, 2, 3, 4, 5]].tolist() == [0] * 5
    assert within_5_sigma(counts[1], 500, 0.2 if prob is None else prob)


def test_solarisation_inverts_from_128_on():
    torch.manual_seed(0)
    transform = MultiCrop(**TINY, **NO_JITTER)
    for value, solarised in ((127, 127), (128, 127)):
        seen = {
            crops(transform, constant(value, value, value))[1][0, 0, 0].item() for _ in range(60)
        }
        assert seen == {value, solarised}


@pytest.mark.parametrize('probs', [(1.0, 0.1, 0.5), (0.0, 0.9, 0.5)], ids=['paper', 'authors'])
def test_blur_probability_per_crop(probs):
    """A checkerboard of single pixels loses contrast under blur and under nothing else here."""
    torch.manual_seed(0)
    image = np.repeat((np.indices((64, 64)).sum(0) % 2 * 100).astype(np.uint8)[..., None], 3, -1)
    transform = MultiCrop(
        global_size=64,
        local_size=64,
        num_local=2,
        global_scale=(0.05, 0.1),  # enlarging keeps the contrast
        local_scale=(0.05, 0.1),
        color_jitter=(0, 0, 0, 0),
        blur_prob=probs,
        blur_sigma=(8.0, 8.0),
    )
    blurred = np.zeros(4, dtype=int)
    for _ in range(200):
        blurred += [view.float().std().item() < 15 for view in crops(transform, image)]
    for count, prob in zip(blurred, (*probs, probs[2]), strict=True):
        assert within_5_sigma(count, 200, prob) or (prob in (0.0, 1.0) and count == 200 * prob)


def test_blur_is_a_gaussian_cut_off_at_two_sigmas():
    sigma, size = 2.0, 33
    image = constant(0, 0, 0, size=size)
    image[16, 16] = 255
    transform = MultiCrop(
        global_size=size, local_size=size, color_jitter=(0, 0, 0, 0), blur_sigma=(sigma, sigma)
    )
    blurred = transform.global_1.transforms[-1](torch.from_numpy(image).permute(2, 0, 1))
    offsets = np.arange(-4, 5, dtype=np.float64)
    line = np.exp(-(offsets**2) / (2 * sigma**2))
    kernel = np.zeros((size, size))
    kernel[12:21, 12:21] = 255 * np.outer(line, line) / line.sum() ** 2
    for channel in blurred:
        np.testing.assert_allclose(channel.numpy(), kernel, atol=0.5 + 1e-3)


@pytest.mark.parametrize(('view', 'low', 'high'), [(0, 0.32, 1.0), (1, 0.32, 1.0), (2, 0.05, 0.32)])
def test_crop_areas_follow_the_scales(view, low, high):
    """Two ramps that rise by one grey level per pixel make a crop's extent readable."""
    torch.manual_seed(0)
    size = 120  # no level reaches the threshold of solarisation
    columns, rows = np.meshgrid(np.arange(size), np.arange(size))
    image = np.stack([np.full_like(rows, 100), rows, columns], axis=-1).astype(np.uint8)
    transform = MultiCrop(global_size=224, local_size=96, num_local=1, **NO_JITTER)
    areas = []
    for _ in range(150):
        crop = crops(transform, image)[view].float()
        if torch.equal(crop[0], crop[1]):  # grey
            continue
        extent = [crop[i].max() - crop[i].min() + 1 for i in (0, 1)]
        areas.append((extent[0] * extent[1]).item() / size**2)
    assert min(areas) > low * 0.92
    assert max(areas) < high * 1.08
    assert np.mean(areas) == pytest.approx((low + high) / 2, rel=0.15)


def test_reproducible_from_the_seed_of_a_loader_worker():
    transform = MultiCrop(**TINY)
    worker_init_fn(worker_id=1, num_workers=2, rank=0, seed=7)
    first = crops(transform, photo())
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  neither generator matters
    torch.manual_seed(8)
    second = crops(transform, photo())
    torch.manual_seed(9)
    other = crops(transform, photo())
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[2], first[3])


def test_the_input_image_is_left_alone():
    image = photo()
    before = image.copy()
    crops(MultiCrop(**TINY), image)
    np.testing.assert_array_equal(image, before)


def test_batch_reaches_the_data_preprocessor():
    pipeline = [
        TRANSFORMS.build({'type': 'MultiCrop', **TINY}),
        TRANSFORMS.build({'type': 'PackInputs'}),
    ]
    items = []
    for index in range(3):
        item = {'img': photo(seed=index), 'img_shape': (40, 48), 'sample_idx': index}
        for transform in pipeline:
            item = transform(item)
        items.append(item)
    batch = default_collate(items)
    assert [tuple(view.shape) for view in batch['inputs']] == [(3, 3, 32, 32)] * 2 + [
        (3, 3, 16, 16)
    ] * 4
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    preprocessor = MODELS.build(
        {'type': 'SelfSupDataPreprocessor', 'mean': mean, 'std': std, 'to_rgb': False}
    )
    views = preprocessor(batch)['inputs']
    expected = (batch['inputs'][0].double() - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(
        std
    ).view(3, 1, 1)
    torch.testing.assert_close(views[0].double(), expected, atol=1e-5, rtol=1e-5)
    assert views[5].shape == (3, 3, 16, 16)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_local': -1}, 'num_local must be at least 0, got -1'),
        ({'color_jitter': (0.4, 0.4)}, 'color_jitter must be four strengths'),
        ({'gray_prob': 1.5}, 'gray_prob must be a probability, got 1.5'),
        ({'solarize_prob': -0.1}, 'solarize_prob must be a probability, got -0.1'),
        ({'blur_prob': (1.0, 0.1)}, 'blur_prob must be three probabilities'),
        ({'blur_prob': (1.0, 0.1, 1.5)}, 'blur_prob must be three probabilities'),
        ({'global_scale': (0.5, 1.5)}, 'global_scale must be'),
        ({'local_scale': (0.4, 0.1)}, 'local_scale must be'),
        ({'local_scale': (0.0, 0.1)}, 'local_scale must be'),
        ({'blur_sigma': (0.0, 1.0)}, 'blur_sigma must be'),
        ({'blur_sigma': (1.0,)}, 'blur_sigma must be'),
        ({'local_size': 4}, 'local_size=4 is too small for blur_sigma'),
        ({'global_size': 0}, 'global_size=0 is too small'),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiCrop(**arguments)


@pytest.mark.parametrize(
    'image',
    [photo().astype(np.float32), photo()[..., 0], photo()[..., :2]],
    ids=['float', 'grey', 'two channels'],
)
def test_wrong_images(image):
    with pytest.raises(TypeError, match='uint8 images, got'):
        crops(MultiCrop(**TINY), image)


def reduced(image, factor):
    return np.asarray(Image.fromarray(image).reduce(factor))


def test_crops_are_those_of_torchvision():
    """Of an image at its full size, to the last bit."""
    transform = MultiCrop(**TINY, **NO_JITTER, gray_prob=0, solarize_prob=0)
    image = photo(300, 400)
    rgb = Image.fromarray(image[..., ::-1].copy())
    torch.manual_seed(3)
    views = crops(transform, image)
    torch.manual_seed(3)
    for view, box, size in zip(views, transform._boxes(300, 400), transform._sizes, strict=True):
        expected = pil_to_tensor(resized_crop(rgb, *box, list(size), InterpolationMode.BICUBIC))
        assert torch.equal(view, expected) or torch.equal(view, expected.flip(-1))


@pytest.mark.parametrize('index', [SampleIndex(0, 5, 1), 0])
def test_reduction_knows_the_crops_that_come(index):
    transform = MultiCrop(**TINY, local_scale=(0.05, 0.05), global_scale=(1.0, 1.0))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    # Local crops of 0.05 · 800² pixels are at least 155 wide, 9.7 times 16: 2 · 4 and not 2 · 8.
    assert transform.reduction(index, 800, 800) == 4
    assert torch.equal(torch.get_rng_state(), state)
    assert transform.reduction(index, 60, 800) == 1


def test_no_crop_of_a_reduced_image_is_enlarged():
    transform = MultiCrop(**TINY)
    factors = set()
    for position in range(200):
        index = SampleIndex(0, position, 0)
        height, width = 100 + 7 * position, 1500 - 7 * position
        factor = transform.reduction(index, height, width)
        factors.add(factor)
        torch.manual_seed(index.seed())
        for box, size in zip(transform._boxes(height, width), transform._sizes, strict=True):
            smallest = min(box[2] / size[0], box[3] / size[1])
            assert factor == 1 or smallest >= 2 * factor
    assert factors == {1, 2, 4, 8}


def test_crops_of_a_reduced_image_show_the_same():
    """Two ramps: every pixel says where in the full image it lies."""
    transform = MultiCrop(**TINY, **NO_JITTER, gray_prob=0, solarize_prob=0)
    columns, rows = np.meshgrid(np.arange(1003) / 4, np.arange(813) / 4)
    image = np.stack([np.full_like(rows, 100), rows, columns], axis=-1).astype(np.uint8)
    small = reduced(image, 4)
    assert small.shape[:2] == (204, 251)  # not a quarter to the pixel
    for position in range(20):
        views = [
            transform({'img': img, 'sample_idx': SampleIndex(0, position, 0), **full})['img']
            for img, full in ((image, {}), (small, {'reduced_from': (813, 1003)}))
        ]
        for one, other in zip(*views, strict=True):
            assert (one.float() - other.float()).abs().max() <= 2  # levels: 8 of 1003 pixels


def test_crops_of_very_large_images_warn_of_nothing(monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        crops(MultiCrop(**TINY), photo())
