"""Every mistake on docs/troubleshooting.md is made, and met with the message that stands there."""

from dataclasses import replace

import pytest
from mistake_runner import PAGE, make, make_folder, message, section
from mistakes import MISTAKES

pytestmark = pytest.mark.slow

LONGEST = 300  # characters: four lines of a terminal
USAGE = 10  # lines in front, of how a tool is called


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('mistakes')
    make_folder(folder)
    return folder


def files(folder):
    """What users have in the folder, and when it was written.

    A run that ends while it is built leaves a log and a copy of its config, which the next one of
    that name goes on with.
    """
    started = [*folder.glob('work_dirs/poa_vit-*/**/*'), *folder.glob('work_dirs/finetune_*/**/*')]
    paths = {path for path in folder.rglob('*') if path.is_file()} - set(started)
    return {path: path.stat().st_mtime_ns for path in paths}


@pytest.mark.parametrize(
    ('heading', 'mistake'),
    [(heading, mistake) for heading, group in MISTAKES.items() for mistake in group],
    ids=str,
)
def test_a_mistake_gets_its_message(folder, heading, mistake):
    if mistake.prepare:
        mistake.prepare(folder)
    before = files(folder)
    lines = make(replace(mistake, prepare=None), folder)
    assert len(lines) <= USAGE
    text = message(lines)
    assert len(lines) == 1 or not text.startswith('error: ') or lines[0] == text
    assert len(text) <= LONGEST
    row = section(heading, [mistake], [text]).splitlines()[-1]
    part = PAGE.read_text().partition(f'\n## {heading}\n')[2].partition('\n## ')[0]
    assert row in part.splitlines()
    after = files(folder)
    assert {path: after.get(path) for path in before} == before


def test_the_page_has_no_other_rows():
    rows = [line for line in PAGE.read_text().splitlines() if '<br>' in line]
    assert len(rows) == sum(map(len, MISTAKES.values())) >= 40
    assert len(set(rows)) == len(rows)
