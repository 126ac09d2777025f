import importlib.util
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / 'tools' / 'check_env.py'


@pytest.fixture(scope='module')
def check_env() -> ModuleType:
    spec = importlib.util.spec_from_file_location('check_env', TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules['check_env'] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


class Environment:
    """A folder of made-up packages, the only ones that the tool sees."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, module: str, distribution: str = '', source: str = '') -> None:
        package = self.folder / module
        package.mkdir(exist_ok=True)
        (package / '__init__.py').write_text(source)
        if distribution:
            self.add_distribution(distribution)

    def add_distribution(self, distribution: str) -> None:
        info = self.folder / f'{distribution.replace("-", "_")}-1.2.3.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Name: {distribution}\nVersion: 1.2.3\n')

    def remove(self, module: str, distribution: str) -> None:
        (self.folder / module / '__init__.py').unlink()
        (self.folder / module).rmdir()
        self.remove_distribution(distribution)

    def remove_distribution(self, distribution: str) -> None:
        info = self.folder / f'{distribution.replace("-", "_")}-1.2.3.dist-info'
        (info / 'METADATA').unlink()
        info.rmdir()

    def check(self) -> tuple[int, dict[str, str], str]:
        """Exit code, table line of every package, and what is printed after the table."""
        result = subprocess.run(
            [sys.executable, '-S', '-B', TOOL],  # -S: without site-packages
            env={**os.environ, 'PYTHONPATH': str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not result.stderr
        header, *lines = result.stdout.splitlines()
        name_column, version_column = header.index('package'), header.index('version')
        last = next(i for i, line in enumerate(lines) if line[name_column:].startswith('GPU'))
        table = {line[name_column:version_column].strip(): line for line in lines[: last + 1]}
        return result.returncode, table, '\n'.join(lines[last + 1 :])


TORCH = """
from types import SimpleNamespace
version = SimpleNamespace(cuda='12.8')
names = ['H100', 'H100', 'A100']
cuda = SimpleNamespace(device_count=lambda: len(names), get_device_name=names.__getitem__)
"""


@pytest.fixture
def environment(tmp_path: Path, check_env: ModuleType) -> Environment:
    """All that is needed, OpenMMLab from OneDL."""
    environment = Environment(tmp_path)
    for package in check_env.PACKAGES:
        source = TORCH if package.module == 'torch' else ''
        environment.add(package.module, package.distributions[0], source)
    return environment


def test_all_is_well(environment: Environment) -> None:
    code, table, fixes = environment.check()
    assert code == 0
    assert table['mmseg'].split() == ['ok', 'mmseg', '1.2.3', 'onedl-mmsegmentation']
    assert ' '.join(table['GPU'].split()) == 'ok GPU CUDA 12.8 2 x H100, 1 x A100'
    assert 'not compiled' in table['mmcv ops']
    assert not fixes


def test_nothing_is_there(tmp_path: Path) -> None:
    code, table, fixes = Environment(tmp_path).check()
    assert code == 1
    assert table['torch'].split() == ['PROBLEM', 'torch', 'not', 'installed']
    assert 'unknown without torch' in table['GPU']
    assert 'no mmcv' in table['mmcv ops']
    assert "poa_mm:\n    pip install -e '.[onedl]'" in fixes
    assert 'timm:\n    pip install timm' in fixes


def test_missing_package(environment: Environment) -> None:
    environment.remove('mmcv', 'onedl-mmcv')
    code, table, fixes = environment.check()
    assert code == 1
    assert table['mmcv'].split() == ['PROBLEM', 'mmcv', 'not', 'installed']
    assert fixes == "mmcv:\n    pip install -e '.[onedl]'"


def test_missing_package_of_upstream_is_completed_from_upstream(environment: Environment) -> None:
    for module, name in [('mmengine', 'mmengine'), ('mmdet', 'mmdetection'), ('mmcv', 'mmcv')]:
        environment.remove_distribution(f'onedl-{name}')
        environment.add_distribution(module)
    environment.remove('mmpretrain', 'onedl-mmpretrain')
    assert environment.check()[2] == "mmpretrain:\n    pip install -e '.[openmmlab]'"


def test_missing_optional_package_is_no_problem(environment: Environment) -> None:
    environment.remove('timm', 'timm')
    code, table, fixes = environment.check()
    assert code == 0
    assert table['timm'].split() == ['-', 'timm', 'not', 'installed']
    assert fixes == 'timm:\n    pip install timm'


def test_two_distributions_of_one_package(environment: Environment) -> None:
    environment.add_distribution('mmsegmentation')
    code, table, fixes = environment.check()
    assert code == 1
    assert 'onedl-mmsegmentation, mmsegmentation overwrite each other' in table['mmseg']
    command = "pip uninstall -y onedl-mmsegmentation mmsegmentation && pip install -e '.[onedl]'"
    assert fixes == f'mmseg:\n    {command}'


def test_distribution_without_files(environment: Environment) -> None:
    environment.remove('mmdet', 'onedl-mmdetection')
    environment.add_distribution('onedl-mmdetection')
    code, table, fixes = environment.check()
    assert code == 1
    assert 'files of onedl-mmdetection are gone' in table['mmdet']
    assert 'pip uninstall -y onedl-mmdetection && pip install' in fixes


def test_package_without_distribution(environment: Environment) -> None:
    environment.remove_distribution('poa_mm')
    code, table, _ = environment.check()
    assert code == 0
    assert f'{environment.folder / "poa_mm" / "__init__.py"}, not installed' in table['poa_mm']


def test_package_that_does_not_import(environment: Environment) -> None:
    environment.add('torchvision', source="raise RuntimeError('no torchvision::nms')\n")
    code, table, fixes = environment.check()
    assert code == 1
    assert 'import fails: RuntimeError: no torchvision::nms' in table['torchvision']
    assert not fixes  # no command is sure to mend it


def test_package_with_a_missing_dependency(environment: Environment) -> None:
    environment.add('mmdet', source='import pycocotools\n')
    code, table, fixes = environment.check()
    assert code == 1
    assert "No module named 'pycocotools'" in table['mmdet']
    assert fixes == "mmdet:\n    pip install -e '.[onedl]'"


def test_chatter_on_import_is_not_shown(environment: Environment) -> None:
    environment.add('mmpretrain', source="print('hello')\n")
    assert environment.check()[0] == 0


def test_compiled_ops(environment: Environment) -> None:
    extension = environment.folder / 'mmcv' / '_ext.py'
    extension.touch()
    assert environment.check()[1]['mmcv ops'].split() == ['ok', 'mmcv', 'ops', 'compiled']
    extension.write_text("raise ImportError('undefined symbol: at')\n")
    code, table, _ = environment.check()
    assert code == 1
    assert 'compiled, but fail: ImportError: undefined symbol: at' in table['mmcv ops']


def test_cpu_only(environment: Environment) -> None:
    environment.add('torch', source=TORCH.replace("'12.8'", 'None') + 'names.clear()\n')
    code, table, _ = environment.check()
    assert code == 0
    assert table['GPU'].split() == ['ok', 'GPU', 'no', 'CUDA', 'none']


def test_old_python(check_env: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_env, 'MIN_PYTHON', (99, 1))
    row = check_env.python_row()
    assert row.status == check_env.PROBLEM
    assert '99.1' in row.note


def test_rich_table(check_env: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    check_env.print_table([check_env.Row('torch', status=check_env.PROBLEM, note='[Errno 2] x')])
    printed = capsys.readouterr().out
    assert '│ PROBLEM │ torch ' in printed
    assert '[Errno 2] x' in printed


def test_this_environment(
    check_env: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, 'argv', [str(TOOL)])
    code, printed = check_env.main(), capsys.readouterr().out
    assert code == 0, printed
    assert metadata.version('torch') in printed
