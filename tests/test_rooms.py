"""The rooms of the package and the order in which they build on one another."""

import ast
import importlib
import re

import pytest
from helpers import ROOT

from poa_mm.moved import NAMES

PACKAGE = ROOT / 'poa_mm'
# From the ground up. What shares a floor does not import one another, but for the ground floor.
FLOORS = (
    {'arguments', 'cli', 'compat', 'errors', 'families', 'file_kinds', 'files', 'registry'}
    | {'screen', 'version', 'moved'},
    {'elastic'},
    {'datasets', 'models', 'tables', 'visualization'},
    {'checkpoints'},
    {'engine', 'selection'},
    {'classification', 'detection', 'export', 'segmentation'},
    {'evaluation'},  # of exports as well
    {'report'},
    {'registration'},  # which wires all of them
    {'__init__'},
)
# Addresses of before, kept for configs in checkpoints: their whole content is one import.
FORMER = {
    'datasets/coco.py': 'detection.coco',
    'engine/official.py': 'checkpoints.official',
    'models/detectors.py': 'detection.mmdet_modules',
    'models/segmentors.py': 'segmentation.mmseg_modules',
}


def room(path):
    return path.relative_to(PACKAGE).with_suffix('').parts[0]


def floor(name):
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def imported_rooms(path):
    """Rooms that a file imports, within functions and for type checkers as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ''
            names = (
                [f'poa_mm.{alias.name}' for alias in node.names] if module == 'poa_mm' else [module]
            )
        else:
            continue
        yield from (name.split('.')[1] for name in names if name.startswith('poa_mm.'))


FILES = [
    path
    for path in sorted(PACKAGE.rglob('*.py'))
    if path.relative_to(PACKAGE).as_posix() not in FORMER
]


def test_every_room_has_its_floor():
    assert {room(path) for path in FILES} == set().union(*FLOORS)
    assert sum(map(len, FLOORS)) == len(set().union(*FLOORS))


def test_imports_go_down():
    up = [
        f'{path.relative_to(ROOT)} imports {other}'
        for path in FILES
        for other in imported_rooms(path)
        if other != room(path) and floor(other) >= floor(room(path)) > 0
    ]
    up += [
        f'{path.relative_to(ROOT)} imports {other}'
        for path in FILES
        for other in imported_rooms(path)
        if floor(room(path)) == 0 < floor(other)
    ]
    assert not up


def test_the_layout_in_the_readme_names_every_room():
    layout = (ROOT / 'README.md').read_text().split('## Layout')[1].split('\n## ')[0]
    packages = {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    assert set(re.findall(r'^\| `(\w+)` \|', layout, re.MULTILINE)) == packages


@pytest.mark.parametrize('path', FORMER)
def test_former_addresses_are_found(path):
    former = importlib.import_module(f'poa_mm.{path.removesuffix(".py").replace("/", ".")}')
    home = importlib.import_module(f'poa_mm.{FORMER[path]}')
    assert home.__all__
    for name in home.__all__:
        assert getattr(former, name) is getattr(home, name)


@pytest.mark.parametrize('former', NAMES)
def test_former_names_are_found(former):
    for name, home in NAMES[former].items():
        found = getattr(importlib.import_module(former), name)
        assert found is getattr(importlib.import_module(home), name)
