"""README and the pages on pre-training, choosing and export, followed block by block.

See ``pages.py`` for what differs from a reader's machine.
"""

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, load_tool
from mmengine.config import Config
from mmengine.registry import DefaultScope
from pages import blocks
from PIL import Image

from poa_mm import cli

pytestmark = pytest.mark.slow

WALK = ('README.md', 'docs/pretraining.md', 'docs/choosing.md', 'docs/export.md')
# What only the reader has: commands on it must end in one line that names it.
READERS_OWN = (
    'work_dirs/poa_mixer-tiny_photos/',
    'teacher_checkpoint.pth',
    'ours.pth',
    'work_dirs/poa_vit-l/',
    'work_dirs/upernet_poa_vit-b/',
)
SMALL = [
    'train_dataloader.batch_size=4',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'log_level=ERROR',
]
SMALL_PHOTOS = [
    'train_dataloader.dataset.patches_per_photo=1',
    'knn_train_dataset.patches_per_photo=2',
    'knn_test_dataset.patches_per_photo=1',
]


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    """What ``make demo`` writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp('demo'))
        Reader(patch).make('demo')
        return Path.cwd() / 'work_dirs'


@pytest.fixture
def reader(demo, tmp_path, monkeypatch):
    """A checkout with a folder of photographs, after ``make demo``."""
    for name in ('configs', 'docs', 'tools', 'benchmarks', 'Makefile', 'setup.py'):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(demo, tmp_path / 'work_dirs')
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        for kind in ('cats', 'dogs'):
            (tmp_path / 'photos' / split / kind).mkdir(parents=True)
            for index in range(3):
                pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / 'photos' / split / kind / f'{index}.jpg')
    monkeypatch.chdir(tmp_path)
    return Reader(monkeypatch)


class Reader:
    """Does what a page says, and notes what it has done."""

    def __init__(self, patch):
        self.patch = patch
        self.done = []
        self.names = {}

    def follow(self, block):
        if block.kind == 'python':
            exec(compile(block.text, f'{block.page}:{block.line}', 'exec'), self.names)
            self.done.append('python')
        for words in block.commands if block.kind == 'bash' else ():
            self.command(words)

    def command(self, words):
        """Run one command; what it is for decides how."""
        program, *rest = words
        if program == 'make':
            self.make(rest[0])
        elif program == 'pip':
            self.install(rest[-1])
        elif program.endswith('dist_train.sh'):
            config, _, *options = rest
            self.tool('train', [config, *options])
        elif program == 'torchrun':
            self.tool(Path(rest[2]).stem, rest[3:])
        else:
            assert program == 'python', words
            self.tool(Path(rest[0]).stem, rest[1:])
        self.done.append(' '.join(words))

    def install(self, what):
        """An extra of setup.py, or a folder that can be installed."""
        extra = re.fullmatch(r'\.\[(\w+)\]', what)
        assert extra is None or f"'{extra[1]}': " in (ROOT / 'setup.py').read_text()
        assert extra is not None or (ROOT / what / 'pyproject.toml').is_file()

    def make(self, target):
        assert f'\n{target}:' in (ROOT / 'Makefile').read_text()
        if target == 'demo' and not Path('work_dirs').exists():  # its three steps
            demo = load_tool('demo')
            folder = str(demo.free_folder(Path('work_dirs/demo')))
            checkpoint = f'{folder}/iter_1000.pth'
            self.tool('train', [str(demo.CONFIG), '--work-dir', folder])
            self.tool('eval_knn', [checkpoint, '--baselines', '--out-dir', f'{folder}/knn'])
            self.tool('extract_subnet', [checkpoint, 'smallest', f'{folder}/smallest.pth'])

    def tool(self, name, args):
        own = next((arg for arg in args if arg.startswith(READERS_OWN)), None)
        if own is not None:
            assert re.search(rf'error: .*{re.escape(own)}', self.call(name, args)), own
        elif name == 'train' and 'tiny' in args[0]:
            self.train(args)
        elif name in ('train', 'seg_linear_sweep'):
            self.load(name, args)
        else:
            assert self.call(name, args) == '', (name, args)

    def call(self, name, args):
        """Run a tool; its error, or nothing."""
        tool = load_tool(name)
        self.patch.setattr(sys, 'argv', [f'{name}.py', *args])
        scope = dict(DefaultScope._instance_dict)
        errors = []
        self.patch.setattr(cli.sys, 'stderr', Lines(errors))
        try:
            code = tool.main()
        except SystemExit as end:
            code = end.code
        finally:
            self.patch.setattr(cli.sys, 'stderr', sys.__stderr__)
            DefaultScope._instance_dict.clear()
            DefaultScope._instance_dict.update(scope)
        return ''.join(errors) if code else ''

    def load(self, name, args):
        """Read the arguments of a run on the paper's data, and load its config with all options."""
        tool = load_tool(name)
        self.patch.setattr(sys, 'argv', [f'{name}.py', *args])
        cfg = tool.load_config(tool.parse_args())
        assert cfg.model.type

    def train(self, args):
        """Train for a step more, under the name of the checkpoint that the run would leave."""
        cfg = Config.fromfile(args[0])
        given = [arg.removeprefix('train_cfg.max_iters=') for arg in args if 'max_iters=' in arg]
        last = int(given[0]) if given else cfg.train_cfg.max_iters
        args = [arg for arg in args if 'max_iters=' not in arg and arg != '--cfg-options']
        options = [arg for arg in args if '=' in arg]
        work_dir = Path(f'work_dirs/{Path(args[0]).stem}')
        if '--work-dir' in args:
            work_dir = Path(args[args.index('--work-dir') + 1])
        before = len(list(work_dir.glob('iter_*.pth')))
        photos = SMALL_PHOTOS if cfg.train_dataloader.dataset.type == 'PhotoPatches' else []
        photos = (
            [o for o in photos if 'train_dataloader' not in o] if 'folder' in args[0] else photos
        )
        steps = before + 1
        call = [arg for arg in args if arg not in options]
        call += ['--cfg-options', *SMALL, *photos, *options, f'train_cfg.max_iters={steps}']
        call.append(f'experiment_name=page-{len(self.done)}-{os.getpid()}')
        assert self.call('train', call) == '', call
        (work_dir / f'iter_{steps}.pth').rename(work_dir / f'iter_{last}.pth')


class Lines(list):
    """Takes what is written to it."""

    def __init__(self, lines):
        self.lines = lines

    def write(self, text):
        self.lines.append(text)

    def flush(self):
        pass


@pytest.mark.parametrize('page', WALK)
def test_every_block_runs_in_order_on_what_those_before_have_written(reader, page):
    for block in blocks(page):
        reader.follow(block)
    assert len(reader.done) > 4
