"""Check that ids of images, categories and annotations exist and are unique."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from poa_mm.detection.coco.findings import Content, Entry, Findings

Sizes = Mapping[Hashable, tuple[int, int]]  # width and height of an image, by its id


def check_images(content: Content, findings: Findings) -> None:
    """Check ids, names and sizes of images; leave out repetitions."""
    images = content['images']
    _check_ids('images', images, findings)
    nameless = [i for i in images if not isinstance(i.get('file_name'), str) or not i['file_name']]
    findings.fault('images', 'no file_name', nameless, 'coco_url')
    for image in images:
        for key in ('width', 'height'):
            image[key] = _pixels(image.get(key))
    unknown = [i for i in images if not (i['width'] and i['height'])]
    findings.fault('images', 'no width and height in pixels', unknown)
    findings.stop_at_faults()
    content['images'] = _unique('images', images, ('file_name', 'width', 'height'), findings)


def check_categories(content: Content, findings: Findings) -> None:
    """Check ids and names of categories; cut spaces around names, leave out repetitions."""
    categories = content['categories']
    _check_ids('categories', categories, findings)
    nameless = [c for c in categories if not clean_name(c.get('name'))]
    findings.fault('categories', 'no name', nameless, 'name')
    findings.stop_at_faults()
    spaced = [c for c in categories if clean_name(c['name']) != c['name']]
    findings.note('categories', 'spaces around the name, cut off', spaced, 'name')
    for category in spaced:
        category['name'] = clean_name(category['name'])
    content['categories'] = _unique('categories', categories, ('name',), findings)
    findings.stop_at_faults()
    counts = Counter(c['name'] for c in content['categories'])
    again = [c for c in content['categories'] if counts[c['name']] > 1]
    findings.fault('categories', 'several ids for one name', again, 'name')


def clean_name(name: object) -> str:
    """Return a class name without surrounding white space; '' if it is not a text."""
    return name.strip() if isinstance(name, str) else ''


def check_references(content: Content, findings: Findings) -> None:
    """Check that annotations belong to images and categories of the file.

    An id that is written in another way there (``"7"`` or ``7.0`` for ``7``) becomes that of the
    image or category. Others are faults: where numbers start one too high, most of them still
    find an image or a category, which is the wrong one.
    """
    for part, key in (('images', 'image_id'), ('categories', 'category_id')):
        ids = {entry['id'] for entry in content[part]}
        annotations = content['annotations']
        strange = [a for a in annotations if not _is_id(a.get(key)) or a[key] not in ids]
        if not strange:
            continue
        missing = [a for a in strange if a.get(key) is None]
        findings.fault('annotations', f'no {key}', missing)
        same = _by_spelling(ids)
        known = [a for a in strange if _spelling(a.get(key)) in same]
        unknown = [a for a in strange if a.get(key) is not None and _spelling(a[key]) not in same]
        findings.fault(
            'annotations', f'{key} is that of none of the {part} of the file', unknown, key
        )
        findings.note('annotations', f'{key} written unlike the id it names', known, key)
        for annotation in known:
            annotation[key] = same[_spelling(annotation[key])]


def check_copies(content: Content, findings: Findings) -> None:
    """Check that images of one file have the same annotations.

    Tools that write an image for each task, or merged files, give a picture several ids. Each then
    has a part of the objects, and the others pass for background.
    """
    counts = Counter(image['file_name'] for image in content['images'])
    copies = [image for image in content['images'] if counts[image['file_name']] > 1]
    if not copies:
        return
    objects: dict[Hashable, list[str]] = {image['id']: [] for image in copies}
    for a in content['annotations']:
        if a['image_id'] in objects:
            objects[a['image_id']].append(f'{a["category_id"]!r} {a["bbox"]}')
    first: dict[str, list[str]] = {}
    for image in copies:
        first.setdefault(image['file_name'], sorted(objects[image['id']]))
    differing = [i for i in copies if sorted(objects[i['id']]) != first[i['file_name']]]
    findings.fault('images', 'the file of another image, with other annotations', differing)
    if not differing:
        findings.note('images', 'several images of one file', copies)


def number_annotations(content: Content, findings: Findings) -> None:
    """Renumber annotations if ids are not unique and above 0; nothing else refers to them.

    pycocotools keeps one annotation for each id, and takes the id 0 for "no match". Exact
    copies are left out.
    """
    first: dict[object, Entry] = {}
    kept, again, wrong = [], [], []
    for annotation in content['annotations']:
        number = annotation.get('id')
        usable = type(number) is int and number > 0
        known = first.setdefault(number, annotation) if usable else annotation
        if known is annotation:
            kept.append(annotation)
            if not usable:
                wrong.append(annotation)
        elif known == annotation:
            again.append(annotation)
        else:
            kept.append(annotation)
            wrong.append(annotation)
    findings.note('annotations', 'repeated, taken once', again)
    findings.note('annotations', 'no unique integer above 0 as id, all renumbered', wrong)
    if wrong:
        for number, annotation in enumerate(kept, start=1):
            annotation['id'] = number
    content['annotations'] = kept


def sizes_of(images: Sequence[Entry]) -> Sizes:
    """Return width and height of images by id."""
    return {image['id']: (image['width'], image['height']) for image in images}


def _check_ids(part: str, entries: Sequence[Entry], findings: Findings) -> None:
    """Check that ids are integers, or else all text: pycocotools sorts them."""
    for entry in entries:
        number = entry.get('id')
        if type(number) is float and number.is_integer():
            entry['id'] = int(number)
    if {type(entry.get('id')) for entry in entries} == {int, str}:
        for entry in entries:
            entry['id'] = int(entry['id']) if _spelling(entry['id']).isdecimal() else entry['id']
    kind = str if entries and all(type(entry.get('id')) is str for entry in entries) else int
    wrong = [entry for entry in entries if type(entry.get('id')) is not kind]
    findings.fault(part, 'id is no integer', wrong)
    findings.stop_at_faults()


def _unique(
    part: str, entries: list[Entry], keys: Sequence[str], findings: Findings
) -> list[Entry]:
    """Leave out entries that repeat an id with the same values; other repetitions are faults."""
    first: dict[Hashable, Entry] = {}
    again: list[Entry] = []
    others: list[Entry] = []
    for entry in entries:
        known = first.setdefault(entry['id'], entry)
        if known is entry:
            continue
        same = all(known.get(key) == entry.get(key) for key in keys)
        (again if same else others).append(entry)
    findings.fault(part, 'one id for several', others, keys[0])
    findings.note(part, 'repeated, taken once', again)
    return list(first.values())


def _is_id(value: object) -> bool:
    return type(value) is int or type(value) is str


def _spelling(value: object) -> str:
    """Return an id as a text that is the same for ``7``, ``7.0``, ``"7"`` and ``"007"``."""
    if type(value) is float and value.is_integer():
        value = int(value)
    text = str(value).strip() if _is_id(value) else ''
    return text.lstrip('0') or '0' if text.isdecimal() else text


def _by_spelling(ids: set[int | str]) -> dict[str, int | str]:
    """Return ids by spelling, without those that share one and values that are not ids."""
    counts = Counter(_spelling(number) for number in ids)
    return {_spelling(n): n for n in ids if counts[_spelling(n)] == 1 and _spelling(n)}


def _pixels(value: Any) -> int:
    """Return a number of pixels, also of a text or a float; 0 if it is none."""
    if type(value) is str and value.strip().isdecimal():
        value = int(value)
    usable = type(value) is int or (type(value) is float and value.is_integer())
    return max(int(value), 0) if usable else 0
