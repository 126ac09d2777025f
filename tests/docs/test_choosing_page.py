"""What docs/choosing.md states and shows is what the package does."""

import re

import pytest
from helpers import ROOT, load_tool
from mmengine.config import Config

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.selection import subnet_cost

PAGE = (ROOT / 'docs' / 'choosing.md').read_text(encoding='utf-8')


def test_its_table_holds_the_costs():
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in PAGE.splitlines()]
    rows = [row for row in rows if len(row) == 6][2:]
    assert len(rows) == 10
    for config, name, *figures in rows:
        if config:
            path, members = re.fullmatch(r'`(.+\.py)`, (\d+).*', config).groups()
            cfg = Config.fromfile(ROOT / 'configs' / 'pretrain' / path)
            supernet = build_on_meta(cfg.model.backbone)
            assert len(supernet.space) == int(members)
        cost = subnet_cost(supernet, name.strip('`'))
        amounts = [cost.params / 1e6, cost.flops / 1e9]
        amounts += [cost.activation_bytes / 1e6, cost.training_bytes / 1e6]
        for figure, amount in zip(figures, amounts, strict=True):
            assert float(figure) == pytest.approx(amount, rel=5e-3)


@pytest.mark.slow
def test_its_choice_is_what_the_tool_prints(capsys, monkeypatch):
    (shown,) = re.findall(r'```\n\$ python tools/pick_subnet.py (.*?)```', PAGE, re.DOTALL)
    command, *lines = shown.splitlines()
    monkeypatch.chdir(ROOT)
    assert load_tool('pick_subnet').main(command.split()) == 0
    assert capsys.readouterr().out.splitlines() == lines
