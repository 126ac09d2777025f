"""Ablations, variants, baselines: each differs from POA's config in what the paper's row says."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from helpers import ROOT, load_config

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.elastic import Subnet
from poa_mm.engine.config_check import check_config
from poa_mm.engine.run_length import merge_options
from poa_mm.evaluation import read_paper

FOLDER = ROOT / 'configs' / 'pretrain'
ONE_HEAD = {'model.head.num_prototypes': [65536]}
WITHOUT = 'without MPH and the {}-view loss of the elastic student'
# What differs by dotted key, and the paper's row: its table and its label there.
ABLATIONS = {
    'no-mph': (ONE_HEAD, '3', 'without MPH'),
    'no-mph_no-es1': (
        {**ONE_HEAD, 'model.elastic_from_teacher': False},
        '3',
        WITHOUT.format('cross'),
    ),
    'no-mph_no-es2': (
        {**ONE_HEAD, 'model.elastic_from_intact': False},
        '3',
        WITHOUT.format('same'),
    ),
    'no-alpha': ({'model.backbone.alpha_scaling': False}, '16', 'without'),
    **{
        f'lambda-0{tenth}': ({'model.intact_weight': tenth / 10}, '17', f'λ = 0.{tenth}')
        for tenth in (6, 7, 9)
    },
    **{
        f'gamma-{gamma}': ({'model.backbone.gamma': gamma}, '18', f'γ = {gamma}')
        for gamma in (1, 2)
    },
    **{
        f'candidates-{number}': (
            {'model.backbone.widths': widths, 'model.backbone.depths': depths},
            '19',
            f'{number} candidates',
        )
        for number, widths, depths in (
            (42, [384, 512, 640, 768, 896, 1024], [12, 14, 16, 18, 20, 22, 24]),
            (20, [384, 576, 768, 960], [12, 15, 18, 21, 24]),
            (16, [384, 576, 768, 960], [12, 16, 20, 24]),
        )
    },
}
VARIANTS = {f'poa-v{number}_vit-l': f'POAV{number}' for number in (1, 2, 3)}  # of Table 5
NUMBERS = {'candidates-42': 42, 'candidates-20': 20, 'candidates-16': 16}
# Of ViT-S, -B and -L alone: the base config that they differ from, and in what.
BASELINES = {
    's': (
        'poa_vit-b',
        {
            'model.backbone.arch.embed_dims': 384,
            'model.backbone.arch.num_heads': 6,
            'model.backbone.arch.feedforward_channels': 1536,
            'model.backbone.widths': [384],
        },
        Subnet(384, 12),
    ),
    'b': ('poa_vit-b', {'model.backbone.widths': [768]}, Subnet(768, 12)),
    'l': (
        'poa_vit-l',
        {'model.backbone.widths': [1024], 'model.backbone.depths': [24]},
        Subnet(1024, 24),
    ),
}
TABLES = {table.number: table for table in read_paper(ROOT / 'results' / 'paper.yaml')}


def flat(value, key=''):
    """Settings by dotted key; lists of hooks and schedulers by their positions."""
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(part, dict) for part in value):
        pairs = enumerate(value)
    else:
        return {key: value}
    parts = [flat(part, f'{key}.{name}'.lstrip('.')) for name, part in pairs]
    return {name: setting for part in parts for name, setting in part.items()}


def changes(path, base):
    """Settings of a config that differ from another one's."""
    mine, theirs = (flat(cfg.to_dict()) for cfg in (load_config(path), load_config(base)))
    assert mine.keys() >= theirs.keys()
    return {key: value for key, value in mine.items() if key not in theirs or theirs[key] != value}


def figures(path):
    """Accuracies that the docstring of a config gives, in percent."""
    text = ast.get_docstring(ast.parse((ROOT / 'configs' / path).read_text()))
    return text, [float(number) for number in re.findall(r'\b\d\d\.\d\b', text)]


def test_there_is_one_config_for_each_row():
    assert {path.stem for path in (FOLDER / 'ablations').glob('*.py')} == {
        f'poa_vit-l_{name}' for name in ABLATIONS
    }
    rows = {number: set() for number in ('3', '16', '17', '18', '19')}
    for _, number, row in ABLATIONS.values():
        rows[number].add(row)
    ours = {'3': 'full', '16': 'with', '17': 'λ = 0.8', '18': 'γ = 3', '19': '143 candidates'}
    assert {number: set(TABLES[number].rows) - {row} for number, row in ours.items()} == rows


@pytest.mark.parametrize('folder', ['ablations', 'variants', 'baselines'])
def test_the_metafile_and_the_readme_list_them(folder):
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    listed = {model['Config'] for model in models if f'/{folder}/' in model['Config']}
    paths = (FOLDER / folder).glob('*.py')
    assert {path.relative_to(ROOT).as_posix() for path in paths} == listed
    readme = (FOLDER / 'README.md').read_text()
    groups = [re.sub(r'-\d+$', '', Path(config).stem) for config in listed]
    assert groups
    assert all(f'`{group}' in readme for group in groups)


@pytest.mark.parametrize('name', ABLATIONS)
def test_an_ablation_is_poa_but_for_its_row(name):
    expected, number, row = ABLATIONS[name]
    path = f'pretrain/ablations/poa_vit-l_{name}.py'
    assert changes(path, 'pretrain/poa_vit-l.py') == expected
    assert_expects(path, number, row)


def assert_expects(path, number, row):
    """The docstring gives the figures of a row of the paper, then POA's."""
    table = TABLES[number]
    values = [cell.value for cell in table.cells[table.rows.index(row)]]
    of_poa = [cell.value for cell in table.cells[table.rows.index(table_row_of_poa(number))]]
    text, found = figures(path)
    assert found[: len(values)] == values
    assert found[len(values) :] == of_poa
    assert f'Table {number}' in text.splitlines()[0]


def table_row_of_poa(number):
    """The row of a table that is the published setting: it has the best-known figures."""
    table = TABLES[number]
    return next(
        row
        for row, cells in zip(table.rows, table.cells, strict=True)
        if [cell.value for cell in cells[:3]] == [76.8, 80.9, 82.3]
    )


@pytest.mark.parametrize('name', ABLATIONS)
def test_an_ablation_builds_at_full_size(name):
    cfg = load_config(f'pretrain/ablations/poa_vit-l_{name}.py')
    check_config(cfg)
    model = build_on_meta(cfg.model)
    space = model.backbone.space
    assert len(space) == NUMBERS.get(name, 143)
    assert space.intact == space['vit-l'] == Subnet(1024, 24)
    assert {space['vit-s'], space['vit-b']} <= set(space.candidates)
    assert model.sampler.space is space
    assert model.backbone.alpha_scaling is model.head.heads[0].mlp[0].alpha_scaling
    assert model.backbone.alpha_scaling is (name != 'no-alpha')
    assert len(model.head.heads) == (1 if 'no-mph' in name else 4)


def test_there_is_one_config_for_each_variant():
    assert {path.stem for path in (FOLDER / 'variants').glob('*.py')} == set(VARIANTS)


@pytest.mark.parametrize('name', VARIANTS)
def test_a_variant_is_poa_with_another_algorithm(name):
    path = f'pretrain/variants/{name}.py'
    assert changes(path, 'pretrain/poa_vit-l.py') == {'model.type': VARIANTS[name]}
    assert_expects(path, '5', name.removesuffix('_vit-l').replace('poa-v', 'POA-V'))
    cfg = load_config(path)
    check_config(cfg)
    model = build_on_meta(cfg.model)
    space = model.backbone.space
    assert len(space) == 143
    drawn = set(space.candidates if name.startswith('poa-v3') else space)
    assert set(model.sampler.probabilities()) == drawn
    assert getattr(model, 'intact_weight', None) == (0.8 if name.startswith('poa-v3') else None)


def test_the_metafile_gives_the_figures_of_the_variants():
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    for model in models:
        if '/variants/' in model['Config']:
            tops = [part['Metrics']['Top 1 Accuracy'].values() for part in model['Results']]
            _, found = figures(model['Config'].removeprefix('configs/'))
            assert [value for top in tops for value in top] == found[:6]


@pytest.mark.parametrize('size', BASELINES)
def test_a_baseline_is_one_network_alone(size):
    base, expected, subnet = BASELINES[size]
    path = f'pretrain/baselines/dinov2_vit-{size}.py'
    own = {**expected, **ONE_HEAD, 'model.elastic_student': False}
    # Only the model of poa_vit-b.py: its schedule is a shorter one.
    of_model = changes(path, f'pretrain/{base}.py')
    assert {key: value for key, value in of_model.items() if key.startswith('model')} == own
    rest = changes(path, 'pretrain/poa_vit-l.py')
    rest = {key: value for key, value in rest.items() if not key.startswith('model')}
    assert list(rest.values()) == [[f'vit-{size}']]  # of the k-NN monitor
    cfg = load_config(path)
    check_config(cfg)
    model = build_on_meta(cfg.model)
    assert model.sampler is None
    assert list(model.backbone.space) == [model.backbone.space.intact] == [subnet]
    assert model.backbone.space[f'vit-{size}'] == subnet
    _, found = figures(path)
    (cells,) = (
        cells
        for number in ('1c', '4')
        for label, cells in zip(TABLES[number].rows, TABLES[number].cells, strict=True)
        if label == f'DINOv2, vit-{size}, epochs 1200'
    )
    assert [number for number in found if number > 1][:2] == [cell.value for cell in cells]


def test_the_option_for_four_heads():
    cfg = load_config('pretrain/baselines/dinov2_vit-s.py')
    heads = [8192, 16384, 32768, 65536]
    merge_options(cfg, {'model.head.num_prototypes': heads})
    assert len(build_on_meta(cfg.model).head.heads) == 4
