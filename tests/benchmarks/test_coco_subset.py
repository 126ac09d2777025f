"""benchmarks/coco_subset.py on a file made by hand."""

import json
import subprocess
import sys

import pytest
from helpers import ROOT

ANNOTATIONS = 'annotations/instances_train2017.json'


def item(number, image, area=2000, crowd=0):
    return {'id': number, 'image_id': image, 'area': area, 'iscrowd': crowd}


@pytest.fixture
def coco(tmp_path):
    """Images 1 and 4 qualify; 2 has a small object, 3 a crowd, 5 nothing."""
    objects = [item(1, 1), item(2, 2), item(3, 2, area=1023), item(4, 3, crowd=1), item(5, 4)]
    content = {
        'images': [{'id': number} for number in (1, 2, 3, 4, 5)],
        'annotations': [*objects, item(6, 4, area=1024)],
        'categories': [{'id': 1, 'name': 'cat'}],
    }
    (tmp_path / 'coco' / 'annotations').mkdir(parents=True)
    (tmp_path / 'coco' / 'train2017').mkdir()
    (tmp_path / 'coco' / ANNOTATIONS).write_text(json.dumps(content))
    return tmp_path / 'coco'


def run(*args):
    command = [sys.executable, ROOT / 'benchmarks' / 'coco_subset.py', *args]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def test_images_whose_objects_can_all_be_seen(coco, tmp_path):
    result = run(coco, tmp_path / 'out', '--images', 2)
    assert result.returncode == 0, result.stderr
    content = json.loads((tmp_path / 'out' / ANNOTATIONS).read_text())
    assert [image['id'] for image in content['images']] == [1, 4]
    assert [o['id'] for o in content['annotations']] == [1, 5, 6]
    assert content['categories'] == [{'id': 1, 'name': 'cat'}]
    assert (tmp_path / 'out' / 'train2017').samefile(coco / 'train2017')


def test_errors_are_one_line(coco, tmp_path):
    out = tmp_path / 'out'
    assert run(coco, out, '--images', 3).stderr == 'error: only 2 images qualify\n'
    assert not out.exists()
    assert run(tmp_path, out).stderr == f'error: no {tmp_path / ANNOTATIONS}\n'
    assert run(coco, out, '--images', 1).returncode == 0
    before = (out / ANNOTATIONS).read_bytes()
    again = run(coco, out, '--images', 2)
    assert again.stderr == f'error: {out} exists already; choose another folder\n'
    assert again.returncode == 1
    assert (out / ANNOTATIONS).read_bytes() == before
