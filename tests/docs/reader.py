"""A reader who follows a page block by block, in a checkout after ``make demo``.

A command runs as the tool itself, in this process, with what the page says. A page takes seconds,
because some things differ from a reader's machine. Training of the tiny networks stops after one
step, under the name of the checkpoint that the whole run would leave. Of a run on the paper's data
or several GPUs, and of a benchmark, the arguments are read and the config is loaded with all of its
options. Figures are laid out, but saved without content; images are read without further processes.
"""

import functools
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from runpy import run_path
from unittest import mock

import torch
from helpers import ROOT, globals_of_mmengine_restored, load_tool
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.logging import MMLogger
from pages import Block, Command
from torch.utils.data import DataLoader

from poa_mm import cli
from poa_mm.registry import ELASTIC_BACKBONES, MODELS

# What only the reader has: commands on it must end in one line that names it.
READERS_OWN = (
    '/my/',
    'ours.pth',
    'teacher_checkpoint.pth',
    'work_dirs/cascade_poa_vit-s/',
    'work_dirs/finetune_poa_folder/',
    'work_dirs/finetune_poa_vit-s/',
    'work_dirs/pets/',
    'work_dirs/poa_mixer-tiny_photos/',
    'work_dirs/poa_vit-l/',
    'work_dirs/streets/',
    'work_dirs/upernet_poa_vit-b/',
    'work_dirs/upernet_poa_vit-s/',
)
SEVERAL_FILES = 'benchmarks/claims/'  # whose scripts import one another
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


start_loader = DataLoader.__init__


def save_empty(figure, path, **settings):
    """Stand in for drawing a figure, which tests/visualization and tests/tools look at."""
    Path(path).touch()


@functools.wraps(start_loader)  # its arguments are read where a config is checked
def read_in_this_process(
    loader, *args, num_workers=0, persistent_workers=False, prefetch_factor=None, **settings
):
    """Stand in for processes that read images: the sets of the pages are of a batch or two."""
    start_loader(loader, *args, **settings)


class Reader:
    """Does what a page says, in the working directory, and counts what it has done."""

    def __init__(self, patch):
        self.patch = patch
        self.done = 0
        self.names = {}
        patch.setattr(Figure, 'savefig', save_empty)
        patch.setattr(DataLoader, '__init__', read_in_this_process)

    def follow(self, block: Block):
        if block.kind == 'bash':
            for command in block.commands(Path('calls')):
                self.command(command)
                self.done += 1
        elif block.file is not None:
            self.file(block)
        elif block.kind == 'python':
            exec(compile(block.text, f'{block.page}:{block.line}', 'exec'), self.names)
        else:
            assert not block.kind, f'{block.page}:{block.line}: nothing runs {block.kind}'
        self.done += 1

    def file(self, block):
        """Compare a block with the file that it is of, or write a config of the reader's own."""
        if block.file.exists():
            text = block.file.read_text()
            assert all(part in text for part in block.parts), f'{block.page}:{block.line}'
            return
        block.file.write_text(block.text)
        assert Config.fromfile(block.file).model.type

    def command(self, command: Command):
        """Run one command; what it is for decides how."""
        program, *rest = command.words
        if program == 'make':
            self.make(rest[0])
        elif program == 'pip':
            self.install(rest[-1])
        elif program == 'tools/dist_train.sh':
            config, gpus, *options = rest
            assert int(gpus)
            self.tool('train', [config, *options])
        elif program == 'tools/dist_test.sh':
            config, checkpoint, gpus, *options = rest
            assert int(gpus)
            self.tool('test', [config, checkpoint, *options])
        elif program == 'torchrun':
            assert rest[0] == '--nproc_per_node'
            self.tool(Path(rest[2]).stem, rest[3:])
        elif command.script.startswith('benchmarks/') or rest[0].startswith(SEVERAL_FILES):
            script = Path(rest[0])
            self.parse(script.stem, rest[1:], script.parent)
        elif rest[0].startswith('benchmarks/'):
            self.benchmark(Path(rest[0]).stem, rest[1:])
        elif command.tiny_imagenet:
            with mock.patch.dict(os.environ, TINY_IMAGENET=command.tiny_imagenet):
                self.refused(Path(rest[0]).stem, rest[1:], command.tiny_imagenet)
        else:
            self.tool(Path(rest[0]).stem, rest[1:])

    def install(self, what):
        """Check that setup.py has an extra; or install the families of a folder."""
        extra = re.fullmatch(r'\.\[(\w+)\]', what)
        if extra is not None:
            assert f"'{extra[1]}': " in (ROOT / 'setup.py').read_text()
            return
        project = (ROOT / what / 'pyproject.toml').read_text()
        families = project.partition('[project.entry-points."poa_mm.families"]\n')[2]
        for registry in (MODELS, ELASTIC_BACKBONES):
            self.patch.setattr(registry, '_module_dict', dict(registry.module_dict))
        self.patch.syspath_prepend(ROOT / what)
        for name in re.findall(r'^\w+ = "(\w+)"$', families.partition('\n[')[0], re.MULTILINE):
            module = import_module(name)
            del sys.modules[name]
            self.patch.setitem(sys.modules, name, module)  # until the page ends

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
        own = next((a for a in args if a.startswith(READERS_OWN) and not Path(a).exists()), None)
        if own is not None:
            self.refused(name, args, own)
        elif name == 'train' and 'tiny' in args[0]:
            self.train(args)
        elif name in ('train', 'seg_linear_sweep'):
            self.load(name, args)
        else:
            assert self.call(name, args) == '', (name, args)

    def refused(self, name, args, own):
        """Run a tool on what only the reader has: one line names it."""
        if name in ('train', 'test'):
            self.load(name, args)
        lines = self.call(name, args).splitlines()
        (line,) = [line for line in lines if 'error: ' in line]
        assert own in line, line

    def call(self, name, args):
        """Run a tool; its error, or nothing."""
        tool = load_tool(name)
        self.patch.setattr(sys, 'argv', [f'{name}.py', *args])
        errors = []
        self.patch.setattr(cli.sys, 'stderr', Lines(errors))
        try:
            with globals_of_mmengine_restored():
                code = tool.main()
        except SystemExit as end:
            code = end.code
        finally:
            self.patch.setattr(cli.sys, 'stderr', sys.__stderr__)
        return ''.join(errors) if code else ''

    def parse(self, name, args, folder='tools'):
        """Read the arguments of a tool."""
        self.patch.setattr(sys, 'argv', [f'{name}.py', *args])
        self.patch.syspath_prepend(ROOT / folder)  # as Python does
        return load_tool(name, folder).parse_args()

    def load(self, name, args):
        """Read the arguments of a run on GPUs, and load its config with all options."""
        MMLogger.get_current_instance()  # which asks for the numbers of GPUs, if there are any
        with mock.patch.object(torch.cuda, 'is_available', return_value=True):
            cfg = load_tool(name).load_config(self.parse(name, args))
        assert cfg.model.type

    def benchmark(self, name, args):
        """Read the arguments of a benchmark on a GPU, and load its configs."""
        self.patch.setattr(sys, 'argv', [f'{name}.py', *args])
        with mock.patch.object(torch.cuda, 'is_available', return_value=True):
            configs = run_path(f'benchmarks/{name}.py')['parse_args']().configs
        assert all(Config.fromfile(config).model.type for config in configs)

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
        call.append(f'experiment_name=page-{self.done}-{os.getpid()}')
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
