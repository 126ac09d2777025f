"""The paper's claims: manifest, runner, record and the rule of the verdicts."""

import math
import sys
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import ROOT, globals_of_mmengine_restored
from PIL import Image
from tool_outcome import outcome

sys.path.append(str(ROOT / 'benchmarks' / 'claims'))
job, manifest, record, report, run, runs, verdict = map(
    import_module, ('job', 'manifest', 'record', 'report', 'run', 'runs', 'verdict')
)
Claim, Part, Row = manifest.Claim, manifest.Part, record.Row
FLOPS = (('poa', 1.2), ('dinov2', 1.0))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two classes of 44 images, half of which suffice for 20 neighbours; the folder of runs."""
    rng = np.random.default_rng(0)
    for kind in ('cats', 'dogs'):
        (tmp_path / 'images' / 'train' / kind).mkdir(parents=True)
        for index in range(44):
            pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f'images/train/{kind}/{index:02}.jpg')
    monkeypatch.setenv(runs.VARIABLE, str(tmp_path / 'images'))
    (tmp_path / 'runs').mkdir()
    return tmp_path / 'runs'


@pytest.fixture
def jobs_in_this_process(monkeypatch):
    """Do in this process what the runner starts one for."""

    def start(words, **options):
        with globals_of_mmengine_restored():
            code = job.main(words[2:])
        return SimpleNamespace(returncode=code, poll=lambda: code, terminate=lambda: None)

    monkeypatch.setattr(run, 'subprocess', SimpleNamespace(Popen=start, STDOUT=None))
    monkeypatch.setattr(run, 'WAIT', 0)


def call(folder, *options):
    return outcome(run.main, [str(folder), '--record', str(folder / 'r.csv'), *options])


def test_every_run_builds_and_every_claim_names_runs_and_networks(folder):
    runs.write_halves(runs.image_folder(), folder)
    from mmengine.registry import init_default_scope

    from poa_mm.registry import build_model

    init_default_scope('mmpretrain')
    hashes = set()
    for name, one in manifest.RUNS.items():
        cfg = runs.build_config(one, 0, runs.image_folder(), folder)
        # The teacher of SEED has no checkpoint yet: see test_seed_learns_from_a_run_that_it_trains.
        built = build_model(cfg.model.backbone if one.teacher else cfg.model)
        space = built.space if one.teacher else built.backbone.space
        assert all(space[network] in space for network in one.networks), name
        assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end
        hashes.add((runs.config_hash(cfg), one.steps > 0))
        again = runs.build_config(one, 1, folder, folder / 'elsewhere')
        assert runs.config_hash(again) == runs.config_hash(cfg), name  # neither seed nor places
    assert len(hashes) == len(manifest.RUNS)
    flops = {
        name: job.gflop(runs.build_config(manifest.RUNS[name], 0, folder, folder))
        for name in ('poa', 'alone-middle', 'alone-smallest')
    }
    for name in ('alone-middle', 'alone-smallest'):
        steps = manifest.STEPS * flops['poa'] / flops[name]
        assert manifest.RUNS[f'{name}-flops'].steps == pytest.approx(steps, rel=0.002)
    for claim in manifest.CLAIMS:
        assert sum(part.sign for part in claim.parts) == 0
        for part in claim.parts:
            assert set(part.networks) <= set(manifest.RUNS[part.run].networks), claim.name


def row(name, seed, value, network='a', metric='cls'):
    return Row(name, seed, network, metric, value, 1, 'c', 'd')


@pytest.mark.parametrize(
    ('expected', 'differences', 'word'),
    [
        # Mean 2, standard deviation 1, three seeds: 2 ± 2.920 · 1 / √3 = 0.314 … 3.686.
        ('+', (1, 2, 3), 'holds'),
        ('+', (-1, -2, -3), 'does not hold'),
        ('+', (0, 2, 4), 'within noise'),
        ('=', (1, 2, 3), 'within noise'),
        ('=', (0.1, 0, -0.1), 'holds'),
        ('=', (3, 3.1, 3.2), 'does not hold'),
        ('>=', (3, 3.1, 3.2), 'holds'),
        ('>=', (-3, -3.1, -3.2), 'does not hold'),
        ('+', (1, 2), 'not yet'),
    ],
)
def test_a_verdict_follows_the_paired_interval(expected, differences, word):
    claim = Claim('', '', (Part('x', ('a', 'b')), Part('y', ('a',), -1)), expected, '')
    rows = []
    for seed, difference in enumerate(differences):
        base = 10 * seed  # what a seed does to both is no noise
        rows += [row('x', seed, base + difference - 1), row('x', seed, base + difference + 1, 'b')]
        rows += [row('y', seed, base), row('y', seed, 99, metric='mean')]
    found = verdict.judge(claim, rows, 'cls')
    assert found.word == word
    assert found.differences == pytest.approx(dict(enumerate(differences)))
    if differences == (1, 2, 3):
        half = 2.9199856 / math.sqrt(3)
        assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-6)


def test_a_verdict_on_costs_is_a_ratio():
    claim = Claim('', '', (Part('x', ()), Part('y', (), -1)), '<=', '', bound=1.3)
    rows = [row('x', 0, 1.2, '', 'gflop')]
    assert verdict.judge(claim, rows, 'cls')[:2] == ('not yet', {})
    rows.append(row('y', 0, 1.0, '', 'gflop'))
    assert verdict.judge(claim, rows, 'cls')[:2] == ('holds', {0: 1.2})
    rows.append(row('y', 0, 0.9, '', 'gflop'))
    assert verdict.judge(claim, rows, 'cls').word == 'does not hold'


def test_a_killed_run_goes_on_to_the_same_numbers(
    folder, jobs_in_this_process, monkeypatch, capsys
):
    from poa_mm.models import POA

    options = ('--runs', 'poa', '--seeds', '0', '--steps', '2')
    assert call(folder, *options) is None
    assert '[1/1] poa-seed0: ' in capsys.readouterr().out
    whole = record.read_rows(folder / 'r.csv')
    assert {(one.network, one.metric) for one in whole} == {
        *((network, metric) for network in manifest.ALL for metric in ('cls', 'mean')),
        *(('', metric) for metric in ('gflop', 'minutes')),
    }
    assert call(folder, *options) is None  # nothing is trained again
    assert '1 of 1 runs are in' in capsys.readouterr().out
    assert record.read_rows(folder / 'r.csv') == whole

    other = folder.with_name('killed')
    update, steps = POA.update_teacher, []

    def killed(self, momentum):
        steps.append(self.step)
        if len(steps) == 3:  # one is that of the initialisation
            raise KeyboardInterrupt
        update(self, momentum)

    with monkeypatch.context() as patch:
        patch.setattr(POA, 'update_teacher', killed)
        assert call(other, *options) == '1 of 1 runs failed: poa-seed0'
    assert not record.read_rows(other / 'r.csv')
    steps.clear()

    def counted(self, momentum):
        steps.append(self.step)
        update(self, momentum)

    monkeypatch.setattr(POA, 'update_teacher', counted)
    assert call(other, *options) is None
    assert len(steps) == 2  # the initialisation and the second step
    rows = record.read_rows(other / 'r.csv')
    assert rows == [one for one in whole if one.metric != 'minutes']


def test_seed_learns_from_a_run_that_it_trains(folder, jobs_in_this_process, monkeypatch):
    short = {name: replace(manifest.RUNS[name], steps=1) for name in ('dinov2', 'seed-smallest')}
    for name, one in short.items():
        monkeypatch.setitem(manifest.RUNS, name, one)
    assert call(folder, '--runs', 'seed-smallest', '--seeds', '0', '--steps', '1') is None
    assert len(list(folder.glob('dinov2-seed0-*/iter_1.pth'))) == 1
    rows = record.read_rows(folder / 'r.csv')
    assert [(one.run, one.network, one.metric) for one in rows] == [
        ('seed-smallest', 'w32-d2', 'cls'),
        ('seed-smallest', 'w32-d2', 'mean'),
        ('seed-smallest', '', 'minutes'),
    ]


def test_what_the_record_has_of_other_configs_or_images_is_stale(folder, capsys):
    rows = [Row(name, 0, 'w32-d2', 'cls', 1.0, 800, 'old', 'old') for name in ('poa', 'dinov2')]
    record.append_rows(folder / 'r.csv', rows)
    assert call(folder, '--runs', 'poa', '--seeds', '0', '1', '--list') is None
    assert capsys.readouterr().out.splitlines() == [
        'poa-seed0: stale, of another config or other images; trained again',
        f'0 of 2 runs are in {folder / "r.csv"}',
        'poa-seed0: missing',
        'poa-seed1: missing',
    ]
    assert list(record.current(rows, {'poa': 'old', 'dinov2': 'new'}, None)) == rows[:1]
    assert not list(record.current(rows, {'poa': 'old'}, 'new'))


@pytest.mark.parametrize(
    ('options', 'error'),
    [
        (['--runs', 'pao'], 'error: there is no run pao; valid: untrained, poa, '),
        (['--jobs', '0'], 'error: --jobs must be at least 1, got 0'),
        (['--steps', '2', '--record', str(record.RECORD)], 'error: --steps makes trials'),
    ],
)
def test_wrong_options_are_one_line(options, error, folder):
    assert call(folder, *options).startswith(error)


def test_missing_images_and_a_broken_record_are_one_line(folder, monkeypatch):
    (folder / 'r.csv').write_text('run,seed\npoa,0\n')
    assert 'is no record of runs' in call(folder, '--list')
    monkeypatch.setenv(runs.VARIABLE, '/nowhere')
    assert call(folder) == 'error: there is no image folder /nowhere/train'
    monkeypatch.delenv(runs.VARIABLE)
    assert 'TINY_IMAGENET is not set' in call(folder)


def test_the_report_writes_what_the_record_says(tmp_path, capsys):
    hashes = runs.all_hashes(manifest.RUNS)
    rows = [
        Row(name, seed, network, 'cls', value + seed, 1000, hashes[name], 'd')
        for name, value in (('poa', 12.0), ('alone-smallest', 10.0))
        for seed in range(3)
        for network in manifest.RUNS[name].networks
    ]
    rows += [Row(name, 0, '', 'gflop', value, 1000, hashes[name], 'd') for name, value in FLOPS]
    rows.append(Row('poa', 3, 'w32-d2', 'cls', 99.0, 1000, 'old', 'd'))
    record.append_rows(tmp_path / 'r.csv', rows)
    page = tmp_path / 'page.md'
    page.write_text(f'before\n{report.BEGIN}nonsense\n{report.END}after\n')
    options = ['--record', tmp_path / 'r.csv', '--page', page, '--plot', tmp_path / 'p.png']
    assert outcome(report.main, [*map(str, options)]) is None
    told = f'Of {len(manifest.CLAIMS)} claims: 2 hold, {len(manifest.CLAIMS) - 2} not yet.'
    assert capsys.readouterr().out.strip() == told
    text = page.read_text()
    assert text.startswith('before\n')
    assert text.endswith('after\n')
    assert 'nonsense' not in text
    for part in (
        told,
        '1 stale numbers',
        '| > 0 | +2.00, +2.00, +2.00 | +2.00 (+2.00 … +2.00) | **holds** | not yet |',
        '| ≤ 1.3 × | counted | 1.20 × | **holds** |  |',
        '| `poa` | 13.0 ± 1.0 | 13.0 ± 1.0 | 13.0 ± 1.0 | 13.0 ± 1.0 |',
        'Not yet in the record with 3 seeds: `untrained`, `dinov2`, `no-mph`, ',
    ):
        assert part in text
    assert (tmp_path / 'p.png').stat().st_size > 10_000
    plotted = (tmp_path / 'p.csv').read_text().splitlines()
    assert plotted[1] == 'smallest > alone,holds,0,2.0000,2.0000,2.0000'
    assert len(plotted) == 4
    again = page.read_bytes()
    assert outcome(report.main, [*map(str, options)]) is None
    assert page.read_bytes() == again


@pytest.mark.parametrize(
    ('page', 'data', 'error'),
    [
        (None, 'd', 'no page at '),
        ('no marks', 'd', 'lacks the lines <!-- report.py writes from here --> and '),
        (report.BEGIN + report.END, 'other', 'has runs on 2 sets of images: d, other'),
    ],
)
def test_reports_that_cannot_be_written_are_one_line(page, data, error, tmp_path):
    poa = runs.all_hashes({'poa': manifest.RUNS['poa']})['poa']
    rows = [Row('poa', 0, 'w32-d2', 'cls', 1.0, 1000, poa, one) for one in ('d', data)]
    record.append_rows(tmp_path / 'r.csv', rows)
    if page:
        (tmp_path / 'page.md').write_text(page)
    options = ['--record', tmp_path / 'r.csv', '--page', tmp_path / 'page.md']
    assert error in outcome(report.main, [*map(str, options)])
    options += ['--plot', tmp_path / 'r.png']
    assert not page or 'would replace the record' in outcome(report.main, [*map(str, options)])
    assert not page or (tmp_path / 'page.md').read_text() == page


def test_the_page_has_what_the_report_writes():
    rows, stale = report.usable_rows(record.RECORD)
    text = '\n'.join(report.section(rows, stale, 'cls'))
    assert f'{report.BEGIN}\n{text}\n\n{report.END}' in report.PAGE.read_text(encoding='utf-8')
