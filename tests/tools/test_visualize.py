"""tools/visualize.py on tiny checkpoints: pictures, the data beside them, mistakes in one line."""

import csv

import numpy as np
import pytest
import torch
from helpers import load_tool
from PIL import Image
from tiny.checkpoints import save_supernet
from tiny.families import TINY_RESNET
from tiny.networks import poa_config
from tiny.photos import write_photos
from tool_outcome import outcome

from poa_mm.registry import MODELS

KINDS = ('attention', 'pca', 'correspondences', 'neighbours', 'prototypes', 'convergence')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    save_supernet(folder / 'vit.pth')
    save_supernet(folder / 'resnet.pth', TINY_RESNET)
    write_photos(folder / 'photos', splits=(), number=2)
    (folder / 'photos' / 'cat' / '0bad.png').write_bytes(b'no image')
    return folder


@pytest.fixture
def draw(run, monkeypatch):
    """Calls the tool in the folder of the run; returns its error."""
    monkeypatch.chdir(run)
    tool = load_tool('visualize')
    return lambda *args: outcome(tool.main, [*map(str, args)])


def table(path):
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def verify(path):
    with Image.open(path) as image:
        image.verify()


def test_attention_of_sub_networks_at_another_size(draw, run, capsys):
    options = ['--subnets', 'smallest,w32-d4', '--image-size', 24]
    assert not draw('attention', 'vit.pth', 'photos', *options)
    said = capsys.readouterr()
    assert '0bad.png cannot be read as an image' in said.err
    verify(run / 'attention_vit.png')
    with np.load(run / 'attention_vit.npz') as found:
        assert len(found['images']) == 4
        assert found['attention_0_w16-d2'].shape == (2, 6, 6)
        assert found['attention_2_w32-d4'].shape == (4, 6, 6)
    assert draw('attention', 'vit.pth', 'photos') == (
        'error: attention_vit.png exists already; write elsewhere, or replace it with --overwrite '
        '(in Python overwrite=True)'
    )


def test_one_image_of_a_family_without_attention(draw, run, capsys):
    image = 'photos/dog/1.png'
    options = ['--image-size', 64, '--out', 'instead.svg']
    assert not draw('attention', 'resnet.pth', image, *options)
    assert 'drawn is the PCA of its patches' in capsys.readouterr().err
    assert '<svg' in (run / 'instead.svg').read_text()
    with np.load(run / 'instead.npz') as found:
        assert found['colours_0_w16-d3-4-7-3'].shape == (4, 4, 3)
        assert found['images'].tolist() == [image]


def test_principal_components(draw, run):
    assert not draw('pca', 'vit.pth', 'photos', '--foreground', '--max-images', 2)
    verify(run / 'pca_vit.png')
    with np.load(run / 'pca_vit.npz') as found:
        assert np.isnan(found['colours_0_w32-d4']).any()
        assert 0.1 < found['variance_w32-d4'].sum() < 1 + 1e-9


def test_correspondences_of_two_images_and_of_two_views(draw, run):
    cats = ['photos/cat/0.png', 'photos/cat/1.png']
    options = ['--subnets', 'smallest,largest', '--pairs', 3]
    assert not draw('correspondences', 'vit.pth', *cats, *options, '--out', 'two.png')
    rows = table(run / 'two.csv')
    assert {row['network'] for row in rows} == {'w16-d2', 'w32-d4'}
    similarity = [float(row['similarity']) for row in rows if row['network'] == 'w16-d2']
    assert 1 <= len(similarity) <= 3
    assert similarity == sorted(similarity, reverse=True)
    assert not draw('correspondences', 'vit.pth', cats[0], '--out', 'views.png')
    assert all(0 <= float(row['distance_percent']) <= 100 for row in table(run / 'views.csv'))
    verify(run / 'two.png')
    assert 'of one or two images, got 3' in draw('correspondences', 'vit.pth', *cats, cats[0])


def test_neighbours_and_prototypes(draw, run):
    options = ['--workers', 0, '--overwrite']
    assert not draw('neighbours', 'vit.pth', 'photos/dog/0.png', 'photos', '--k', 2, *options)
    rows = table(run / 'neighbours_vit.csv')
    assert [row['network'] for row in rows] == ['w16-d2'] * 2 + ['w32-d4'] * 2
    verify(run / 'neighbours_vit.png')
    model = MODELS.build(poa_config())
    info = {'backbone': model.backbone.config, 'config': {}}
    torch.save({'state_dict': model.state_dict(), 'supernet': info}, run / 'poa.pth')
    assert not draw('prototypes', 'poa.pth', 'photos', '--prototypes', 3, '--top', 2, *options)
    rows = table(run / 'prototypes_poa.csv')
    assert [(row['prototype'], row['kind']) for row in rows] == (
        [('3', 'image')] * 2 + [('3', 'patch')] * 2
    )
    verify(run / 'prototypes_poa.png')
    assert 'vit.pth has no projection heads' in draw('prototypes', 'vit.pth', 'photos', *options)
    several = ['--subnets', 'all', *options]
    assert 'for one sub-network, got 6' in draw('prototypes', 'poa.pth', 'photos', *several)


def test_convergence(draw, run):
    folder = run / 'work' / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('{"knn/vit-s": 12.5, "step": 100}\n')
    assert not draw('convergence', 'work')
    assert table(run / 'work' / 'convergence.csv') == [
        {'network': 'vit-s', 'iteration': '100', 'knn_top1_percent': '12.5'}
    ]
    assert not draw('convergence', 'work', 'work', '--out', 'both.svg')
    assert '<svg' in (run / 'both.svg').read_text()
    assert 'no run at none' in draw('convergence', 'none')


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['attention', 'none.pth', 'photos'], 'no checkpoint at none.pth'),
        (['attention', 'vit.pth', 'none'], 'no image or folder at none'),
        (['pca', 'vit.pth', 'photos', '--out', 'a.jpg'], '--out must end with .png, .svg, .pdf'),
        (['pca', 'vit.pth', 'photos', '--image-size', '0'], '--image-size must be positive'),
        (['attention', 'vit.pth', 'photos', '--subnets', 'w99-d1'], 'w99-d1'),
        (['attention', 'vit.pth', 'photos/cat/0bad.png'], '0bad.png cannot be read as an image'),
    ],
)
def test_mistakes(draw, args, message):
    assert message in draw(*args, '--overwrite')


@pytest.mark.parametrize('kind', KINDS)
def test_help_of_a_kind_fits_a_screen(kind, capsys):
    assert outcome(load_tool('visualize').main, [kind, '--help']) is None
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 40
    assert '--traceback' in text
