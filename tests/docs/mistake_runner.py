"""Makes a user's mistake in a folder as users have them, and keeps what the terminal says of it."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from helpers import ROOT, globals_of_mmengine_restored, load_tool
from mmengine.runner.loops import _InfiniteDataloaderIterator
from PIL import Image

import poa_mm
from poa_mm.checkpoints import save_backbone

DEMO = 'configs/pretrain/poa_vit-tiny_photos.py'  # $DEMO on the page
PAGE = ROOT / 'docs' / 'troubleshooting.md'
HEAD = '| what was done | message | what to do |\n|---|---|---|'
RUN = 'work_dirs/poa'  # where a run of the demo lies
CHECKPOINT = f'{RUN}/iter_1.pth'
# What makes the demo small; a user's mistake stands before them and is not touched by them.
SMALL = (
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'train_dataloader.dataset.patches_per_photo=1',
    'log_level=ERROR',
)


@dataclass(frozen=True)
class Mistake:
    """One mistake of a user.

    Args:
        done: What the user did, in plain words.
        command: As the user typed it, with ``$DEMO`` for the demo's config.
        remedy: What to do instead.
        prepare: Makes the files that it takes, below the folder that it is given.
    """

    done: str
    command: str
    remedy: str
    prepare: Callable[[Path], object] | None = None

    def __str__(self) -> str:
        return self.command


class Begun(BaseException):
    """A run has begun in spite of a mistake: it asks for images."""


def _begin(images: object) -> None:
    raise Begun


def make_folder(folder: Path) -> None:
    """A checkout with a run of the demo, and photographs of two classes."""
    for name in ('configs', 'tools'):
        (folder / name).symlink_to(ROOT / name)
    images = np.random.default_rng(0).integers(0, 256, (16, 24, 24, 3), dtype=np.uint8)
    places = [(split, kind) for split in ('train', 'val') for kind in ('cats', 'dogs')]
    for number, pixels in enumerate(images):
        split, kind = places[number % 4]
        path = folder / 'photos' / split / kind / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    options = ['train_cfg.max_iters=1', 'train_dataloader.batch_size=4']
    options += ['default_hooks.checkpoint.interval=1', 'experiment_name=first']
    with inside(folder):
        said = call(['tools/train.py', DEMO, '--work-dir', RUN, '--cfg-options', *options])
        assert not said, said
        supernet = poa_mm.load_supernet(CHECKPOINT)
        save_backbone(supernet, 'w32-d2', 'backbone.pth')


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, on a machine without GPU."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with (
            globals_of_mmengine_restored(),
            mock.patch.object(torch.cuda, 'is_available', return_value=False),
        ):
            yield
    finally:
        os.chdir(before)


def make(mistake: Mistake, folder: Path) -> list[str]:
    """Make a mistake: the lines of the standard error stream."""
    if mistake.prepare:
        mistake.prepare(folder)
    variables, words = split_command(mistake.command)
    with inside(folder), mock.patch.object(_InfiniteDataloaderIterator, '__next__', _begin):
        if words[0].endswith('.sh'):
            said = subprocess.run(
                ['bash', *words],
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                check=False,
            ).stderr
        else:
            said = call(words)
    return said.replace(f'{folder.resolve()}/', '').replace(f'{ROOT}/', '').splitlines()


def split_command(command: str) -> tuple[dict[str, str], list[str]]:
    """Variables of the environment, and words from the tool on."""
    words = [word.replace('$DEMO', DEMO) for word in shlex.split(command)]
    start = next(i for i, word in enumerate(words) if word.startswith('tools/'))
    pairs = (word.partition('=') for word in words[:start] if '=' in word)
    return {name: value for name, _, value in pairs}, words[start:]


def call(words: list[str]) -> str:
    """Run a tool in this process; what it says on the standard error stream.

    Raises:
        Begun: A run trains.
    """
    path, *args = words
    if path == 'tools/train.py' and args[0] == DEMO:
        args += ['--cfg-options', *SMALL]
    tool = load_tool(Path(path).stem)
    said = io.StringIO()
    with (
        mock.patch.object(sys, 'argv', [path, *args]),
        mock.patch.dict(os.environ),
        contextlib.redirect_stderr(said),
        contextlib.suppress(SystemExit),
    ):  # of argparse
        tool.main()
    return said.getvalue()


def message(lines: list[str]) -> str:
    """The error among the lines; argparse and the scripts show how a tool is called as well."""
    found = [line for line in lines if 'error: ' in line]
    assert len(found) == 1, lines
    # Python 3.12 lists choices without quotes.
    return re.sub(r'(?<=choose from )[^)]+', lambda m: m[0].replace("'", ''), found[0])


def section(heading: str, mistakes: Sequence[Mistake], messages: Sequence[str]) -> str:
    """The part of the page on these mistakes."""
    rows = [
        f'| {mistake.done}<br>`{mistake.command}` | `{text}` | {mistake.remedy} |'
        for mistake, text in zip(mistakes, messages, strict=True)
    ]
    return '\n'.join([f'## {heading}\n', HEAD, *rows, ''])


def write_page(mistakes: Mapping[str, Sequence[Mistake]]) -> None:
    """Make all mistakes, and put what they lead to into the page, below its introduction."""
    with tempfile.TemporaryDirectory() as folder:
        make_folder(Path(folder))
        parts = [
            section(heading, group, [message(make(each, Path(folder))) for each in group])
            for heading, group in mistakes.items()
        ]
    introduction = PAGE.read_text().partition('\n## ')[0].rstrip()
    PAGE.write_text('\n'.join([introduction, '', *parts]))
