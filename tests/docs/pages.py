"""The blocks of a page: its commands and its Python code."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from helpers import ROOT

FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
# The first command in a row of a table.
CELL = re.compile(r'^\|.*?`((?:python |tools/|torchrun )[^`]+)`', re.MULTILINE)
FILE = re.compile(r'# ([\w./-]+\.(?:py|toml))\n')
# Bash expands a block; each program is a function that notes how it is called.
RECORDER = r"""
set -euo pipefail
note() { printf '%s\0' "$0" "${TINY_IMAGENET-}" "$@" $'\n' >> "$CALLS"; }
export -f note
for program in make pip python torchrun; do
    eval "$program() { note $program \"\$@\"; }"
    export -f "${program?}"
done
for program in tools/dist_train.sh tools/dist_test.sh; do
    eval "function $program { note $program \"\$@\"; }"
done
"""


class Command(NamedTuple):
    """A command that a block calls.

    Attributes:
        words: Program and arguments.
        script: The shell script that calls it, ``bash`` for the block itself.
        tiny_imagenet: The environment variable TINY_IMAGENET, which a config reads.
    """

    words: list[str]
    script: str
    tiny_imagenet: str


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
    def file(self) -> Path | None:
        """The file that the comment in the first line names: the block stands in it."""
        found = FILE.match(self.text)
        return Path(found[1]) if found else None

    @property
    def parts(self) -> list[str]:
        """What is shown of the file, between lines that leave something out (…)."""
        body = self.text.partition('\n')[2]
        return [part.strip('\n') for part in re.split(r'^ *…\n', body, flags=re.MULTILINE)]

    def commands(self, calls: Path) -> list[Command]:
        """What bash calls in the working directory, with all variables and wildcards expanded.

        Args:
            calls: A file to note the calls in.
        """
        calls.unlink(missing_ok=True)
        subprocess.run(
            ['bash', '-c', RECORDER + self.text],
            env={**os.environ, 'CALLS': str(calls), 'TINY_IMAGENET': ''},  # a page says its own
            check=True,
        )
        noted = calls.read_text().split('\0\n\0')[:-1]
        return [_command(call) for call in noted]


def _command(call: str) -> Command:
    script, tiny_imagenet, *words = call.split('\0')
    return Command(words, script, tiny_imagenet)


def blocks(page: str) -> list[Block]:
    """All blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding='utf-8')
    fences = list(FENCE.finditer(text))
    found = [(fence.start(), fence[1], fence[2]) for fence in fences]
    found += [
        (cell.start(), 'bash', cell[1])
        for cell in CELL.finditer(text)
        if not any(fence.start() <= cell.start() < fence.end() for fence in fences)
    ]
    return [
        Block(page, text.count('\n', 0, start) + 1, kind, body)
        for start, kind, body in sorted(found)
    ]
