"""What CONTRIBUTING.md says of the code."""

import re

from helpers import ROOT

PAGE = (ROOT / 'CONTRIBUTING.md').read_text()
ROWS = re.findall(r'^\| [^|]+\? \| `([^`]+)` \| `([^`]+)` \|$', PAGE, re.MULTILINE)


def test_each_search_finds_its_one_file():
    assert len(ROWS) >= 5
    for term, expected in ROWS:
        found = [
            path.relative_to(ROOT).as_posix()
            for path in sorted((ROOT / 'poa_mm').rglob('*.py'))
            if re.search(rf'{re.escape(term)}(?!\w)', path.read_text())
        ]
        assert found == [expected], term


def test_the_commands_are_in_the_makefile():
    makefile = (ROOT / 'Makefile').read_text()
    for target in re.findall(r'^make ([\w-]+)', PAGE, re.MULTILINE):
        assert re.search(rf'^{target}:', makefile, re.MULTILINE), target
