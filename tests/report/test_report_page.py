"""Tests of the report: what stands in the page is what was measured, and nothing can run in it."""

import csv
import json
import re
from html.parser import HTMLParser

import pytest
from helpers import load_tool
from report_samples import ESCAPED, page_data, report_of, write_folder
from tool_outcome import outcome

from poa_mm.evaluation.results import Result, append_results
from poa_mm.report import write_report
from poa_mm.report.page import LIMIT
from poa_mm.report.run import read_run
from poa_mm.report.scores import scores_of

tool = load_tool('report')
LINKS = {'src', 'href', 'srcset', 'action', 'data', 'poster'}


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.names, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.links += [value for name, value in attrs if name in LINKS]

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    return report_of(tmp_path_factory.mktemp('report'))


def test_the_data_are_those_of_the_results(written):
    data = page_data(written.html)
    with written.table.open() as file:
        table = {row['subnet']: row for row in csv.DictReader(file)}
    assert {one['subnet'] for one in data['networks']} == set(table)
    for one in data['networks']:
        row = table[one['subnet']]
        assert one['params'] == int(row['params'])
        assert one['accuracy'] == pytest.approx(float(row['k20']), abs=1e-3)
        assert one['command'].endswith(f' {one["subnet"]}')
    frontier = data['charts']['frontier']['data']
    points = {
        name: (x, y)
        for trace in frontier
        for name, x, y in zip(trace.get('customdata', ()), trace['x'], trace['y'], strict=False)
    }
    assert points == {one['subnet']: (one['params'], one['accuracy']) for one in data['networks']}
    grid = data['charts']['grid']['data'][0]
    for names, values in zip(grid['customdata'], grid['z'], strict=True):
        for name, value in zip(names, values, strict=True):
            assert value == pytest.approx(float(table[name]['k20']), abs=1e-3)


def test_nothing_is_loaded_and_all_is_escaped(written):
    text = written.html.read_text(encoding='utf-8')
    assert len(text.encode()) < LIMIT
    tags = Tags(text)
    assert tags.links
    assert all(link.startswith('data:image/') for link in tags.links)
    assert not {'link', 'iframe', 'object', 'embed', 'base'} & set(tags.names)
    assert tags.names.count('script') == 3
    assert not {'b', 'i'} & set(tags.names)  # which are in the config and in a class name
    assert any('<i>cat & dog' in part for part in tags.texts)
    assert 'attention iter 1' in tags.texts  # drawn beside the checkpoint
    assert any(ESCAPED in part for part in tags.texts)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert policy.startswith('default-src &#39;none&#39;; script-src &#39;sha256-')
    assert 'unsafe-eval' not in policy
    assert 'http' not in policy


def test_missing_parts_leave_a_sentence(tmp_path, written):
    alone = tmp_path / 'alone.pth'
    alone.write_bytes(written.checkpoint.read_bytes())
    page = write_report(alone, tmp_path / 'alone.html')
    assert not page.charts
    text = (tmp_path / 'alone.html').read_text(encoding='utf-8')
    for part in ('scores', 'latency', 'run', 'gallery', 'pictures'):
        assert page.missing[part].split(':')[0].split('  ')[0] in text
    data = page_data(tmp_path / 'alone.html')
    assert not data['measured']
    assert all(one['accuracy'] is None for one in data['networks'])


def test_mistakes_are_one_line(tmp_path, written):
    nothing, images = str(tmp_path / 'none.pth'), str(tmp_path)
    checkpoint, out = str(written.checkpoint), str(tmp_path / 'new.html')
    other = tmp_path / 'other.pth'
    other.write_bytes(b'<html>')
    for arguments, message in (
        ([nothing], f'no checkpoint at {nothing}'),
        ([str(other)], f'{other} is not a checkpoint that can be read'),
        ([checkpoint, '--out', str(written.html)], f'{written.html} exists already'),
        ([checkpoint, '--out', out, '--data', nothing], 'there is no image folder'),
        ([checkpoint, '--out', out, '--embeddings', 'a.csv'], '--embeddings must end in .parquet'),
        ([checkpoint, '--out', out, '--embeddings', 'a.parquet'], '--embeddings needs --data'),
        ([checkpoint, '--out', out, '--pictures', images], f'{images} has no pictures'),
    ):
        line = outcome(tool.main, arguments)
        assert line.startswith(f'error: {message}'), line
    assert not (tmp_path / 'new.html').exists()


def test_the_latest_measurement_counts_at_k_20(tmp_path):
    def result(value, network='w16-d2', source='a', data='x', **settings):
        return Result(
            'knn', 'top1', value, network, source_sha256=source, data_sha256=data, settings=settings
        )

    rows = [
        result(10.0, k=20, feature='mean'),
        result(1.0, k=10, feature='cls'),
        result(2.0, k=20, feature='cls'),
        result(9.0, k=20, feature='cls', source='b'),
        result(3.0, 'w24-d2', k=20, feature='cls'),
    ]
    append_results(tmp_path / 'results.jsonl', rows)
    scores = scores_of(rows, 'a')
    assert scores.accuracies == {'w16-d2': 2.0, 'w24-d2': 3.0}
    assert (scores.k, scores.settings) == (20, {'feature': 'cls'})
    assert scores_of(rows, 'c') is None


def test_resumed_parts_replace_what_they_repeat(tmp_path):
    parts = {
        '1': [{'step': n, 'loss': float(n), 'time': 0.5, 'images_per_s': 8} for n in (10, 20, 30)],
        '2': [{'step': n, 'loss': -float(n), 'time': 1.0, 'images_per_s': 4} for n in (20, 40)],
    }
    for name, lines in parts.items():
        folder = tmp_path / name / 'vis_data'
        folder.mkdir(parents=True)
        text = '\n'.join(map(json.dumps, lines))
        (folder / 'scalars.json').write_text(f'{text}\n{{"step": 50, "lo')
    run = read_run(tmp_path)
    assert run.losses == {'loss': [(10, 10.0), (20, -20.0), (40, -40.0)]}
    assert run.seconds == 10 * 0.5 + 10 * 1.0 + 20 * 1.0
    assert run.images == 10 * 0.5 * 8 + 30 * 1.0 * 4
    assert read_run(tmp_path, last=20).losses == {'loss': [(10, 10.0), (20, -20.0)]}
    assert read_run(tmp_path / 'none') is None


def test_embeddings_are_the_features_with_their_neighbours(written):
    parquet = pytest.importorskip('pyarrow.parquet')
    table = parquet.read_table(written.embeddings).to_pydict()
    features = written.features.features
    assert table['path'] == written.features.paths
    assert table['class'] == [written.features.classes[n] for n in written.features.labels]
    unit = features / (features**2).sum(1, keepdims=True) ** 0.5
    similarity = unit @ unit.T
    for row, (vector, found) in enumerate(zip(table['vector'], table['neighbors'], strict=True)):
        assert vector == pytest.approx(features[row])
        assert row not in found['ids']
        assert found['distances'] == pytest.approx(1 - similarity[row, found['ids']], abs=1e-5)
        assert found['distances'] == sorted(found['distances'])
    assert table['image'][0]['bytes'][:3] == b'\xff\xd8\xff'


def test_own_images_are_measured_as_the_tool_for_knn_does(tmp_path, written):
    for part in ('train', 'val'):
        write_folder(tmp_path / part, count=12)
    knn = load_tool('eval_knn')
    data = ['--train-data', f'{tmp_path}/train', '--test-data', f'{tmp_path}/val']
    options = ['--workers', '0', '--out-dir', f'{tmp_path}/knn', '--device', 'cpu']
    assert knn.main([str(written.checkpoint), *data, *options]) == 0
    alone = tmp_path / 'alone' / 'a.pth'
    alone.parent.mkdir()
    alone.write_bytes(written.checkpoint.read_bytes())
    arguments = [str(alone), '--data', str(tmp_path), '--workers', '0', '--device', 'cpu']
    assert tool.main([*arguments, '--out', f'{tmp_path}/a.html']) == 0
    with (tmp_path / 'knn' / 'knn.csv').open() as file:
        expected = {row['subnet']: float(row['k20']) for row in csv.DictReader(file)}
    found = {one['subnet']: one['accuracy'] for one in page_data(tmp_path / 'a.html')['networks']}
    assert found == pytest.approx(expected, abs=1e-3)
