"""The commands and Python blocks of a page, and what it takes to run them here.

A command runs as the tool itself, in this process, with what the page says. Two things differ from
a reader's machine, so that a page takes seconds: training stops after one step, under the name of
the checkpoint that the whole run would leave; and where a command needs the paper's data or several
GPUs, its arguments are read, its config is loaded with all options and built into nothing.
"""

import re
import shlex
from dataclasses import dataclass

from helpers import ROOT

FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
CELL = re.compile(
    r'^\|.*?`((?:python |tools/|torchrun )[^`]+)`', re.MULTILINE
)  # the first one of a row
COMMENT = re.compile(r'\s+#\s.*$')


@dataclass(frozen=True)
class Block:
    """A fenced block, or a command in a table.

    Args:
        page: Path of the page, from the root of the repository.
        line: Where it begins, from 1.
        kind: Language of the fence; ``bash`` for a command in a table.
        text: What it says.
    """

    page: str
    line: int
    kind: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """The commands of a ``bash`` block, as words, without comments."""
        joined = self.text.replace('\\\n', ' ')
        lines = (COMMENT.sub('', line).strip() for line in joined.splitlines())
        return [shlex.split(line) for line in lines if line and not line.startswith(('#', '--'))]


def blocks(page: str) -> list[Block]:
    """All blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding='utf-8')
    found = [(m.start(), m[1], m[2]) for m in FENCE.finditer(text)]
    fenced = [(m.start(), m.end()) for m in FENCE.finditer(text)]
    found += [
        (m.start(), 'bash', m[1])
        for m in CELL.finditer(text)
        if not any(start <= m.start() < end for start, end in fenced)
    ]
    return [
        Block(page, text.count('\n', 0, start) + 1, kind, body)
        for start, kind, body in sorted(found)
    ]
