"""A probe of images as they go by: one pass for all, to the same heads however it is run."""

from dataclasses import replace

import pytest
import torch

from poa_mm.evaluation.features import feature_loader, prepared
from poa_mm.evaluation.labelled_data import LabelledData
from poa_mm.evaluation.networks.measured import MeasuredSupernet
from poa_mm.evaluation.probe import images as probe_images
from poa_mm.evaluation.probe.images import ImageProbe
from poa_mm.evaluation.probe.linear import held_out_rows
from poa_mm.evaluation.probe.parts import PartTrainer, parts_of_network
from poa_mm.evaluation.probe.random_crops import RandomCrops, StepSampler, with_random_crops
from poa_mm.evaluation.probe.settings import ProbeSettings
from poa_mm.evaluation.probe.sources import SOURCES, probe_columns, sources_of

SETTINGS = ProbeSettings(
    lrs=(0.1, 1.0),
    weight_decays=(0.0, 1e-3),
    sources=('last 1', 'last 4 + mean'),
    batch_size=12,
    epochs=2,
    iterations=3,
    augment=True,
)
STEPS, HEADS = 6, 8


@pytest.fixture(scope='module')
def data(cfg):
    return LabelledData.from_config(cfg)


@pytest.fixture(scope='module')
def measured(backbone):
    return MeasuredSupernet(backbone, [backbone.space.smallest, backbone.space.largest])


@pytest.fixture(scope='module')
def classes(data):
    return len(data.train.metainfo['classes'])


@pytest.fixture(scope='module')
def whole(measured, data, classes):
    """Results of a run without a break, all networks in one pass."""
    probe = ImageProbe(measured, data, classes, SETTINGS, batch_size=5, seed=1)
    return dict(probe.run(measured.networks))


def assert_same(results, expected):
    assert results.keys() == expected.keys()
    for network, result in results.items():
        assert (result.heads, result.test) == (expected[network].heads, expected[network].test)
        assert result.chosen_on == expected[network].chosen_on
        assert torch.equal(result.best.weight, expected[network].best.weight)


def test_heads_are_those_of_a_loop_over_the_crops(measured, data, classes, whole):
    network = measured.networks[1]
    sources = sources_of(measured)[network]
    heads = SETTINGS.heads(sources)
    kept, held_out = held_out_rows(len(data.train), seed=1)
    crops = RandomCrops(with_random_crops(data.train, measured.preprocessing), kept)
    part, _ = parts_of_network(network, heads, sources, classes)
    trainer = PartTrainer(part, heads, classes, STEPS, seed=1, device='cpu')

    def columns(images):
        ((_, tokens),) = measured.tokens(prepared(images, data.preprocessor), [network])
        return probe_columns(tokens.cls, tokens.patches, tokens.levels)[0]

    for batch in StepSampler(crops, 12, 12, STEPS, seed=1):
        items = [crops[index] for index in batch]
        images = torch.stack([item['inputs'] for item in items])
        labels = torch.cat([item['data_samples'].gt_label for item in items])
        trainer.step(columns(images), labels)
    result = whole[network]
    assert len(result.heads) == HEADS
    for rows, accuracies, images_of in (
        (held_out, result.chosen_on, data.train),
        (torch.arange(len(data.test)), result.test, data.test),
    ):
        subset = torch.utils.data.Subset(images_of, rows.tolist())
        ((images, labels),) = feature_loader(subset)
        correct = trainer.correct(columns(images), labels)
        measured_there = torch.tensor([accuracies[number] for number in part.numbers])
        torch.testing.assert_close(100 * correct / len(labels), measured_there)


def test_features_of_a_batch_are_computed_once(measured, data, classes, monkeypatch):
    seen = []
    tokens = measured.tokens

    def count(images, networks=None):
        seen.append(len(images))
        return tokens(images, networks)

    monkeypatch.setattr(measured, 'tokens', count)
    list(ImageProbe(measured, data, classes, SETTINGS, batch_size=12).run(measured.networks))
    trained = STEPS * 12  # whatever the number of networks and heads
    held_out = round(0.1 * len(data.train))
    assert sum(seen) == 1 + trained + held_out + len(data.test)


def test_several_passes_give_the_same_heads(measured, data, classes, whole):
    probe = ImageProbe(measured, data, classes, SETTINGS, batch_size=5, seed=1, max_memory=1e-9)
    passes = set()
    probe.progress = lambda number, of, done, steps: passes.add((number, of))
    assert_same(dict(probe.run(measured.networks)), whole)
    assert passes == {(number, 4) for number in range(4)}  # one for each network and source


@pytest.mark.parametrize('memory', [8.0, 1e-9])
def test_a_killed_run_goes_on_to_the_same_heads(measured, data, classes, whole, tmp_path, memory):
    state = tmp_path / 'unfinished.pth'
    generator = torch.Generator().manual_seed(int(memory))
    finished = {}
    runs = 0
    while len(finished) < len(measured.networks):
        left = int(torch.randint(2, STEPS, (1,), generator=generator))

        def die_sometime(*_):
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

        probe = ImageProbe(
            *(measured, data, classes, SETTINGS),
            batch_size=5,
            seed=1,
            state=state,
            max_memory=memory,
            progress=die_sometime,
        )
        runs += 1
        try:
            for network, result in probe.run(measured.networks, list(finished)):
                finished[network] = result
        except KeyboardInterrupt:
            continue
    assert runs > 1
    assert_same(finished, whole)
    assert not state.exists()


def test_crops_depend_on_the_position_alone(data, measured):
    crops = RandomCrops(with_random_crops(data.train, measured.preprocessing), torch.arange(20))
    whole = [crops[i]['inputs'] for batch in StepSampler(crops, 6, 6, 5, seed=3) for i in batch]
    torch.manual_seed(5)
    later = [
        crops[i]['inputs'] for batch in StepSampler(crops, 6, 4, 5, seed=3, done=2) for i in batch
    ]
    assert all(map(torch.equal, whole[12:], later))
    parts = [len(batch) for batch in StepSampler(crops, 6, 4, 2, seed=3)]
    assert parts == [4, 2, 4, 2]
    images = torch.stack(whole)
    assert images.shape == (30, 3, 16, 16)
    assert not torch.equal(images[:20].float().mean(0), images[10:].float().mean(0))
    same = with_random_crops(data.train, measured.preprocessing)
    names = [type(step).__name__ for step in same.pipeline.transforms]
    assert names[0] == 'SeedByPosition'
    assert names[-1] == 'PackInputs'
    assert len(data.train.pipeline.transforms) == 2  # left as it was


def test_choosing_on_the_test_images_trains_on_all(measured, data, classes):
    settings = replace(SETTINGS, choose_on_test=True, sources=('last 1',))
    probe = ImageProbe(measured, data, classes, settings, batch_size=12)
    assert len(probe._images) == len(data.train)
    for result in dict(probe.run(measured.networks)).values():
        assert result.chosen_on == result.test
        assert result.top1 == max(result.test)
        assert {head.source for head in result.heads} == {SOURCES[0]}


def test_features_that_overflow_stop_the_run(measured, data, classes, monkeypatch):
    original = probe_images.probe_columns

    def overflow(*tokens):
        columns, sources = original(*tokens)
        return columns / 0, sources

    monkeypatch.setattr(probe_images, 'probe_columns', overflow)
    probe = ImageProbe(measured, data, classes, SETTINGS)
    with pytest.raises(ValueError, match='features of w32-d2 hold NaN or infinity'):
        list(probe.run(measured.networks))
