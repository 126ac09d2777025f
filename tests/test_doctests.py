"""The examples in docstrings of the public API run as written."""

import doctest
import importlib

import pytest
from PIL import Image
from tiny.checkpoints import save_supernet

from poa_mm.checkpoints import save_backbone

# In alphabetical order.
MODULES = (
    'poa_mm.arguments',
    'poa_mm.checkpoints.checkpoint',
    'poa_mm.checkpoints.open_supernet',
    'poa_mm.checkpoints.preprocessing',
    'poa_mm.cli',
    'poa_mm.datasets.subset',
    'poa_mm.elastic.layers',
    'poa_mm.elastic.sampling',
    'poa_mm.elastic.space',
    'poa_mm.engine.config_diff',
    'poa_mm.engine.schedules',
    'poa_mm.errors',
    'poa_mm.evaluation.accuracy',
    'poa_mm.evaluation.clustering',
    'poa_mm.evaluation.command_line',
    'poa_mm.evaluation.features',
    'poa_mm.evaluation.knn.few_shot',
    'poa_mm.evaluation.journal',
    'poa_mm.evaluation.knn.votes',
    'poa_mm.evaluation.label_free.measures',
    'poa_mm.evaluation.probe.linear',
    'poa_mm.evaluation.networks.measured',
    'poa_mm.evaluation.knn.neighbours',
    'poa_mm.evaluation.ranks',
    'poa_mm.evaluation.robustness.changes',
    'poa_mm.evaluation.networks.shared_prefixes',
    'poa_mm.evaluation.store',
    'poa_mm.evaluation.what',
    'poa_mm.export.exporter',
    'poa_mm.export.formats',
    'poa_mm.models.backbones.vit',
    'poa_mm.models.heads.projection_head',
    'poa_mm.models.losses.sinkhorn',
    'poa_mm.report.about',
    'poa_mm.report.charts',
    'poa_mm.report.page',
    'poa_mm.selection.cost',
    'poa_mm.selection.latency',
    'poa_mm.selection.pick',
    'poa_mm.selection.pick_inputs',
    'poa_mm.selection.profile',
    'poa_mm.tables',
    'poa_mm.visualization.frontier',
    'poa_mm.visualization.profile',
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The files that examples name."""
    path = tmp_path_factory.mktemp('examples')
    supernet = save_supernet(path / 'iter_1000.pth')['teacher']
    save_backbone(supernet, 'smallest', path / 'smallest.pth')
    Image.effect_noise((48, 32), 64).convert('RGB').save(path / 'photo.jpg')
    return path


@pytest.mark.parametrize('name', MODULES)
def test_examples_run(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = doctest.testmod(
        importlib.import_module(name),
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    assert result.attempted, f'{name} has no example: leave it out of the list'
    assert not result.failed
