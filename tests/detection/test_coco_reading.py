"""The text of annotation files, and files of other formats."""

import codecs
import gzip
import json
import re

import pytest
from tiny.annotations import small_content

from poa_mm.detection.coco import read_annotations


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'file.json'


@pytest.mark.parametrize(
    'encode',
    [
        lambda text: text.encode(),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode('utf-16'),
        lambda text: text.encode('utf-16-be'),
        lambda text: text.encode('utf-32'),
        lambda text: gzip.compress(text.encode()),
        lambda text: gzip.compress(text.encode('utf-8-sig')),
        lambda text: b'\n  ' + text.encode() + b'\r\n',
    ],
    ids=['utf-8', 'bom', 'utf-16', 'utf-16-be', 'utf-32', 'gzip', 'gzip bom', 'spaces'],
)
def test_encodings(path, encode):
    content = small_content()
    content['categories'][0]['name'] = 'Käse 猫'
    path.write_bytes(encode(json.dumps(content, ensure_ascii=False)))
    assert read_annotations(str(path)) == content


def test_annotations_may_be_absent(path):
    content = small_content()
    del content['annotations']
    path.write_text(json.dumps(content))
    assert read_annotations(str(path))['annotations'] == []


WHOLE = json.dumps(small_content())
LIST = small_content()['annotations']


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (WHOLE[:300], 'JSONDecodeError'),
        (WHOLE.replace('cat"', 'k\xe4se"').encode('latin-1'), "UnicodeDecodeError: 'utf-8' codec"),
        (gzip.compress(WHOLE.encode())[:-40], 'damaged gzip data'),
        ('', 'it is empty'),
        (b'\xef\xbb\xbf \n', 'it is empty'),
        (b'PK\x03\x04rest', 'a ZIP archive; unpack it'),
        ('<annotation><folder/></annotation>', 'XML or HTML'),
        (f'{WHOLE}\n{WHOLE}', 'JSON Lines'),
        ('[]', 'a JSON list, not an object'),
        ('7', 'a JSON number, not an object'),
        ('null', 'a JSON null, not an object'),
        (json.dumps([{'image_id': 1, 'bbox': [], 'score': 0.5}]), r'a list of results \(pred'),
        (json.dumps(LIST), 'a list of annotations alone'),
        (json.dumps([{'id': 1, 'data': {}, 'annotations': []}]), "Label Studio's own JSON"),
        (json.dumps([{'image': 'a.jpg', 'annotations': []}]), "CreateML's JSON"),
        (json.dumps({'_via_settings': {}, '_via_img_metadata': {}}), "VIA's own JSON"),
        (json.dumps({'a.jpg99': {'filename': 'a.jpg', 'regions': []}}), "VIA's own JSON"),
        (json.dumps({'version': '5', 'shapes': [], 'imagePath': 'a'}), "labelme's JSON of one"),
        (json.dumps({'info': {}, 'categories': {}, 'items': []}), "Datumaro's own JSON"),
        (json.dumps({'samples': []}), "FiftyOne's own JSON"),
        (
            json.dumps({'annotations': [{'segments_info': []}], 'images': []}),
            "COCO's panoptic format",
        ),
        (json.dumps({'annotations': [{'caption': 'a'}], 'images': []}), "COCO's captions"),
        ('{"images": []}', 'no categories; it has images, annotations'),
        ('{"images": [], "categories": []}', 'the list of images is empty'),
        (json.dumps({**small_content(), 'annotations': None}), 'annotations is a JSON null, not a'),
        (json.dumps({**small_content(), 'images': {'1': {}}}), 'images is a JSON object, not a l'),
        (json.dumps({**small_content(), 'annotations': [{}, 3]}), 'entry 1 of annotations is a J'),
    ],
)
def test_files_of_another_kind(path, text, message):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=f'^{re.escape(str(path))} is no file of COCO: {message}'):
        read_annotations(str(path))


def test_no_file(path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
        read_annotations(str(path))
    path.write_text('')
    with pytest.raises(ValueError, match=r'^the name is no file of COCO: it is empty$'):
        read_annotations(str(path), 'the name')
