"""Neighbours and prototypes of a folder, against loops over its images one by one."""

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny.families import TINY, build
from tiny.networks import randomise
from tiny.photos import write_photos

from poa_mm.evaluation import MeasuredSupernet
from poa_mm.evaluation.pictures.folder_batches import Folder, drawn_crop
from poa_mm.evaluation.pictures.neighbours import find_neighbours, gallery_of_neighbours
from poa_mm.evaluation.pictures.prototypes import attracted, gallery_of_prototypes
from poa_mm.models.heads import ProjectionHead

NET = build('vit', **TINY['vit'])
MEASURED = MeasuredSupernet(NET)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    root = write_photos(tmp_path_factory.mktemp('photos'), splits=(), number=3)
    (root / 'cat' / '0bad.png').write_bytes(b'no image')
    return root


def tokens_of(path, subnet):
    image = MEASURED.preprocessing.transform()(Image.open(path))[None]
    with torch.no_grad():
        return NET.tokens(image, subnet)


def readable(folder):
    return [path for path in folder.paths if '0bad' not in path]


def test_neighbours_are_those_of_plain_cosines(photos):
    folder = Folder.open(photos)
    query = str(photos / 'dog' / '1.png')
    networks = [MEASURED.networks[0], MEASURED.networks[-1]]
    found, (reason,) = find_neighbours(MEASURED, networks, query, folder, 3, batch_size=2)
    assert '0bad.png' in reason
    for network in networks:
        own, _ = tokens_of(query, network.subnet)
        cosines = {
            path: F.cosine_similarity(own.double(), tokens_of(path, network.subnet)[0].double())
            for path in readable(folder)
            if path != query
        }
        expected = sorted(cosines, key=cosines.get, reverse=True)[:3]
        mine = [one for one in found if one.network == network.name]
        assert [one.path for one in mine] == expected
        assert [one.rank for one in mine] == [1, 2, 3]
        for one in mine:
            assert one.similarity == pytest.approx(float(cosines[one.path]), abs=1e-5)
            assert one.same == (one.label == 'dog')
            assert f'/{one.label}/' in one.path
    first, second = gallery_of_neighbours(MEASURED, networks, query, found)
    assert len(first.tiles) == len(second.tiles) == 4
    assert first.label.startswith('w16-d2\nsmallest\n')
    with pytest.raises(ValueError, match='5 other images, fewer than --k 6'):
        find_neighbours(MEASURED, networks, query, folder, 6)
    with pytest.raises(ValueError, match='0bad'):
        find_neighbours(MEASURED, networks, str(photos / 'cat' / '0bad.png'), folder, 1)


def test_prototypes_attract_what_is_nearest(photos):
    folder = Folder.open(photos)
    head = randomise(ProjectionHead(32, 12, hidden=24, bottleneck=8)).eval()
    network = MEASURED.networks[0]
    found, _ = attracted(MEASURED, network, head, folder, number=2, top=3, batch_size=4)
    paths = readable(folder)
    every = [tokens_of(path, network.subnet) for path in paths]
    with torch.no_grad():
        images = torch.cat([head.embed(cls) for cls, _ in every]).double()
        patches = torch.stack([head.embed(tokens[0]) for _, tokens in every]).double()
        weight = head.prototypes.weight().double()
    counts = (images @ weight.T).argmax(dim=1).bincount(minlength=12)
    chosen = list(dict.fromkeys(one.prototype for one in found))
    assert sorted(counts[chosen].tolist()) == sorted(counts.sort().values[-len(chosen) :].tolist())
    assert len(chosen) == min(2, int((counts > 0).sum()))
    for prototype in chosen:
        unit = F.normalize(weight[prototype], dim=0)
        whole, parts = images @ unit, patches @ unit
        for kind, values in (('image', whole), ('patch', parts.max(dim=1).values)):
            mine = [one for one in found if (one.prototype, one.kind) == (prototype, kind)]
            assert [one.path for one in mine] == [paths[row] for row in values.topk(3).indices]
            for one in mine:
                row = paths.index(one.path)
                assert one.images == counts[prototype]
                assert one.similarity == pytest.approx(float(values[row]), abs=1e-5)
                if kind == 'patch':
                    y, x = divmod(int(parts[row].argmax()), 4)
                    assert one.box == (x / 4, y / 4, (x + 1) / 4, (y + 1) / 4)
    rows = gallery_of_prototypes(MEASURED, found, folder)
    assert [len(row.tiles) for row in rows] == [6] * len(chosen)
    some, _ = attracted(MEASURED, network, head, folder, prototypes=[7], top=1)
    assert [(one.prototype, one.kind) for one in some] == [(7, 'image'), (7, 'patch')]
    with pytest.raises(ValueError, match='prototypes 0…11, not 12'):
        attracted(MEASURED, network, head, folder, prototypes=[12])


def test_the_drawn_crop_is_what_the_network_sees_only_larger(photos):
    path = str(photos / 'cat' / '0.png')
    assert drawn_crop(path, MEASURED.preprocessing).shape == (128, 128, 3)


def test_classes_of_a_flat_folder_are_unknown(photos):
    folder = Folder.open(photos / 'dog')
    networks = MEASURED.networks[:1]
    found, _ = find_neighbours(MEASURED, networks, str(photos / 'dog' / '0.png'), folder, 1)
    assert [(one.label, one.same) for one in found] == [('', None)]
