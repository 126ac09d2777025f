"""The Python lines of docs/export.md."""

import re

import pytest
from helpers import ROOT
from tiny_families import build, save_checkpoint

from poa_mm.export import FORMATS, export_subnet

PAGE = (ROOT / 'docs' / 'export.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)


@pytest.mark.parametrize('block', BLOCKS)
def test_lines_run(block, tmp_path, monkeypatch):
    net = build('vit')
    save_checkpoint(tmp_path / 'iter_1000.pth', net)
    export_subnet(net, 'largest', tmp_path / 'vit-s_timm', 'timm')
    monkeypatch.chdir(tmp_path)
    exec(block, {})


def test_the_table_names_all_formats():
    assert len(BLOCKS) == 2
    for name, chosen in FORMATS.items():
        made = f'`{chosen.suffix}`' if chosen.suffix else 'a folder'
        assert f'| `{name}` | {made} |' in PAGE
