"""Dense k-NN against plain loops in float64, and mIoU against mmseg's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.evaluation import IoUMetric
from PIL import Image
from ranks import run_distributed
from tiny.families import build

from poa_mm.checkpoints import preprocessing_of
from poa_mm.errors import InputError
from poa_mm.evaluation import MeasuredSupernet
from poa_mm.evaluation.knn.dense import (
    IGNORED,
    PatchBank,
    class_shares,
    confusion_matrix,
    iou_scores,
    mean_iou,
    pixel_classes,
)
from poa_mm.evaluation.knn.dense_networks import DenseKnn, DenseRow
from poa_mm.evaluation.knn.mask_data import MaskedImages, label_numbers, pair_masks

CLASSES = 4


def masks(seed, *shape):
    """Labels with some pixels that do not count."""
    drawn = torch.randint(CLASSES + 1, shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(drawn == CLASSES, IGNORED, drawn)


@given(st.integers(0, 9), st.tuples(st.integers(1, 9), st.integers(1, 9)), st.data())
@settings(max_examples=20)
def test_shares_of_patches_are_those_of_a_loop_over_pixels(seed, grid, data):
    height, width = (data.draw(st.integers(side, 20)) for side in grid)
    mask = masks(seed, height, width)
    counts = np.zeros((*grid, CLASSES))
    for row in range(height):
        for column in range(width):
            if mask[row, column] != IGNORED:
                place = row * grid[0] // height, column * grid[1] // width
                counts[(*place, int(mask[row, column]))] += 1
    sums = counts.sum(axis=-1, keepdims=True)
    expected = np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
    found = class_shares(mask, grid, CLASSES)
    np.testing.assert_allclose(found, expected.reshape(-1, CLASSES), rtol=1e-6)


def test_labels_and_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match=r'label 4: labels are 0…3, or 255'):
        class_shares(torch.full((4, 4), 4), (2, 2), CLASSES)
    with pytest.raises(ValueError, match='fewer pixels than 8 × 2'):
        class_shares(masks(0, 4, 4), (8, 2), CLASSES)


def loop_votes(features, shares, query, k, temperature):
    """Class shares of the nearest patches of one query, in float64."""
    features, query = features.double().numpy(), query.double().numpy()
    norms = np.linalg.norm(features, axis=1) * np.linalg.norm(query)
    similarity = features @ query / norms
    nearest = np.argsort(-similarity, kind='stable')[:k]
    weights = np.exp((similarity[nearest] - similarity[nearest].max()) / temperature)
    return (weights / weights.sum()) @ shares.double().numpy()[nearest]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_votes_are_those_of_a_loop(dtype):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(50, 6, generator=generator).to(dtype)
    queries = torch.randn(9, 6, generator=generator).to(dtype)
    shares = class_shares(masks(1, 40, 20), (10, 5), CLASSES)
    bank = PatchBank(features, shares)
    votes = bank.vote(queries, (1, 7, 30), temperature=0.1)
    for k, found in votes.items():
        expected = [loop_votes(features, shares, query, k, 0.1) for query in queries]
        np.testing.assert_allclose(found, np.stack(expected), rtol=1e-9, atol=1e-12)
    for chunk in (1, 4):
        again = bank.vote(queries, (1, 7, 30), temperature=0.1, chunk_size=chunk)
        assert all(torch.equal(again[k], votes[k]) for k in votes)
    with pytest.raises(ValueError, match=r'k must be in \[1, 50\]'):
        bank.vote(queries, 51)
    with pytest.raises(ValueError, match=r'shares must have shape \(50, C\)'):
        PatchBank(features, shares[:3]).vote(queries)


def test_mean_iou_is_mmseg_s():
    labels, predicted = masks(2, 30, 40), masks(3, 30, 40) % CLASSES
    labels[labels == 3] = 0  # class 3 is predicted alone
    confusion = confusion_matrix(predicted, labels, CLASSES + 1)  # the last one never occurs
    areas = IoUMetric.intersect_and_union(predicted, labels, CLASSES + 1, IGNORED)
    theirs = IoUMetric.total_area_to_metrics(*areas, ['mIoU'])['IoU'] * 100
    np.testing.assert_allclose(iou_scores(confusion), theirs, rtol=1e-5)
    assert mean_iou(confusion) == pytest.approx(np.nanmean(theirs), rel=1e-5)
    assert np.isnan(iou_scores(confusion)[CLASSES])


def test_pixels_take_the_largest_share():
    shares = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64)
    found = pixel_classes(shares, (1, 2), (2, 8))
    assert found.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]] * 2


@pytest.fixture
def folders(tmp_path):
    """Images of two halves of noise, dark and light, and where these are; ignored below."""
    generator = np.random.default_rng(0)
    for split, count in (('train', 5), ('test', 3)):
        for index in range(count):
            height, width = 20 + 4 * index, 24
            border = generator.integers(8, 16)
            labels = np.full((height, width), 7, dtype=np.uint8)
            labels[:, border:] = 9
            image = np.where(labels == 7, 40, 200) + generator.integers(0, 30, labels.shape)
            labels[-3:] = 255
            for kind, array in (('images', image), ('masks', labels)):
                path = tmp_path / kind / split / f'{index}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array.astype(np.uint8)).save(path)
    return tmp_path


def opened(folders, preprocessing, ignored=(255,)):
    pairs = {
        split: pair_masks(folders / 'images' / split, folders / 'masks' / split)
        for split in ('train', 'test')
    }
    numbers = label_numbers([*pairs['train'], *pairs['test']], ignored)
    return [MaskedImages(part, preprocessing, numbers) for part in pairs.values()]


def test_networks_are_measured_as_their_parts_are(folders):
    backbone = build('vit')
    measured = MeasuredSupernet(backbone, [backbone.space[n] for n in ('smallest', 'w32-d3')])
    train, test = opened(folders, preprocessing_of(backbone, {}))
    assert train.num_classes == 2
    evaluator = DenseKnn(train, test, k=(1, 5), batch_size=2, progress=False)
    rows = list(evaluator.rows(measured))
    for network, row in zip(measured.networks, rows, strict=True):
        features, shares = [], []
        confusion = {k: torch.zeros(2, 2, dtype=torch.int64) for k in (1, 5)}
        with torch.no_grad():
            for image, mask in (train[index] for index in range(len(train))):
                features.append(backbone.tokens(image[None], network.subnet)[1][0])
                shares.append(class_shares(mask, (4, 4), 2))
            known = torch.cat(shares).sum(dim=1) > 0
            bank = torch.cat(features)[known], torch.cat(shares)[known]
            for image, mask in (test[index] for index in range(len(test))):
                queries = backbone.tokens(image[None], network.subnet)[1][0]
                for k in confusion:
                    votes = np.stack([loop_votes(*bank, query, k, 0.02) for query in queries])
                    found = pixel_classes(torch.from_numpy(votes), (4, 4), tuple(mask.shape))
                    confusion[k] += confusion_matrix(found, mask, 2)
        assert row.subnet == network.name
        assert row.ious == {
            k: pytest.approx(mean_iou(one), abs=1e-6) for k, one in confusion.items()
        }
        assert row.accuracy == row.ious[5] > 50
    for memory, batch in ((1e-9, 2), (8, 3)):
        again = DenseKnn(train, test, (1, 5), batch_size=batch, max_memory=memory, progress=False)
        assert [row.ious for row in again.rows(measured)] == [row.ious for row in rows]
    fewer = DenseKnn(train, test, (5,), max_patches=30, progress=False)
    (bank,) = fewer._banks(measured, measured.networks[:1]).values()
    assert 15 < len(bank.features) < 45


def open_dense(folder, shared=False):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = build('vit')
    measured = MeasuredSupernet(backbone, [backbone.space[n] for n in ('smallest', 'w32-d3')])
    images = opened(folder, preprocessing_of(backbone, {}))
    return measured, DenseKnn(*images, k=(1, 5), batch_size=2, progress=False, shared=shared)


def dense_of_rank(rank, folder):
    measured, evaluator = open_dense(folder, shared=True)
    banks = evaluator._banks(measured, measured.networks)
    rows = [(row.ious, row.classes) for row in evaluator.rows(measured)]
    return [list(banks[network]) for network in measured.networks], rows


def test_processes_find_what_one_finds(folders):
    """Of four processes, one has no training image and two no image to segment."""
    measured, evaluator = open_dense(folders)
    banks = evaluator._banks(measured, measured.networks)
    expected = [(row.ious, row.classes) for row in evaluator.rows(measured)]
    for found_banks, found in run_distributed(dense_of_rank, 4, folders):
        assert found == expected
        for network, bank in zip(measured.networks, found_banks, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(bank, banks[network], strict=True))


def test_images_come_as_the_network_expects_them(folders):
    preprocessing = preprocessing_of(build('vit'), {})
    train, _ = opened(folders, preprocessing)
    image, mask = train[1]
    assert image.shape == (3, 16, 16)
    assert mask.shape == (24, 24)
    assert set(mask.unique().tolist()) == {0, 1, IGNORED}
    path, mask_path = train.pairs[1]
    small = Image.open(path).convert('RGB').resize((16, 16), Image.Resampling.BICUBIC)
    expected = (np.asarray(small, dtype=np.float32) - preprocessing.mean) / preprocessing.std
    np.testing.assert_allclose(image.permute(1, 2, 0), expected, rtol=1e-4, atol=1e-5)
    assert (np.asarray(Image.open(mask_path)) == 9).sum() == (mask == 1).sum()
    assert train.sha256 != opened(folders, preprocessing, (0,))[0].sha256


def test_masks_that_do_not_fit(folders):
    preprocessing = preprocessing_of(build('vit'), {})
    with pytest.raises(ValueError, match='hold 1 classes beside the ignored labels'):
        opened(folders, preprocessing, (255, 9))
    mask = folders / 'masks' / 'train' / '0.png'
    Image.new('L', (3, 3)).save(mask)
    with pytest.raises(InputError, match=r'0\.png has 3 × 3 pixels, its image 20 × 24'):
        opened(folders, preprocessing)
    mask.write_bytes(b'broken')
    with pytest.raises(InputError, match=r'0\.png: masks cannot be read'):
        opened(folders, preprocessing)
    mask.unlink()
    assert len(opened(folders, preprocessing)[0]) == 4
    (folders / 'other').mkdir()
    Image.new('L', (24, 20)).save(folders / 'other' / 'another.png')
    with pytest.raises(ValueError, match='has no masks for 5 of 5 images'):
        pair_masks(folders / 'images' / 'train', folders / 'other')
    Image.new('L', (24, 20)).save(mask.with_suffix('.jpg'))
    with pytest.raises(InputError, match=r'0\.jpg is a JPEG'):
        opened(folders, preprocessing)
    with pytest.raises(FileNotFoundError, match='no image folder'):
        pair_masks(folders / 'images' / 'train', folders / 'none')


def test_rows_come_back_from_plain_data():
    row = DenseRow('w8-d3-4', '', 8, (3, 4), 10, {5: 1 / 3}, [None, 2.0])
    data = {**row.__dict__, 'depth': [3, 4], 'ious': {'5': 1 / 3}}
    assert DenseRow.from_plain(data) == row
