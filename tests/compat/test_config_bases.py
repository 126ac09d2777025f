import subprocess
import sys
from pathlib import Path

import mmengine
import pytest
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from poa_mm import compat
from poa_mm.compat import config_bases


@pytest.fixture(autouse=True)
def installed() -> None:
    compat.install()


@pytest.fixture
def own_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``configs`` folder with ``pretrain/small.py`` on ``_base_/model.py``."""
    configs = tmp_path / 'configs'
    for folder in ('_base_', 'pretrain'):
        (configs / folder).mkdir(parents=True)
    (configs / '_base_' / 'model.py').write_text("model = dict(type='POA', depth=3)\n")
    (configs / 'pretrain' / 'small.py').write_text(
        "_base_ = '../_base_/model.py'\nmodel = dict(depth=2)\n"
    )
    monkeypatch.setattr(config_bases, '_CONFIGS', configs)
    return configs


BASES = {
    'mmdet::_base_/default_runtime.py': 'mmdet',
    'mmseg::_base_/default_runtime.py': 'mmseg',
    'mmpretrain::_base_/default_runtime.py': 'mmpretrain',
}


@pytest.mark.parametrize('base', BASES)
def test_library_bases_resolve(base: str, tmp_path: Path) -> None:
    text = f"_base_ = '{base}'\nwork_dir = 'here'\n"
    path = tmp_path / 'config.py'
    path.write_text(text)
    for config in (Config.fromfile(path), Config.fromstring(text, '.py')):
        assert config.default_scope == BASES[base]
        assert config.work_dir == 'here'


def test_library_bases_are_found_without_reading_metafiles(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: str) -> None:
        raise AssertionError(f'{path} was read')

    monkeypatch.setattr(mmengine.config.utils, 'load', load)
    config = Config.fromstring("_base_ = 'mmdet::_base_/default_runtime.py'", '.py')
    assert config.default_scope == 'mmdet'
    with pytest.raises(AssertionError, match='model-index'):  # named models need them
        Config.fromstring("_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'", '.py')


def test_unknown_library_base_is_named() -> None:
    with pytest.raises(FileNotFoundError, match='no_such_file'):
        Config.fromstring("_base_ = 'mmdet::_base_/no_such_file.py'", '.py')


def test_own_base_resolves(own_configs: Path, tmp_path: Path) -> None:
    text = "_base_ = ['poa_mm::pretrain/small.py', 'mmseg::_base_/default_runtime.py']\n"
    path = tmp_path / 'config.py'
    path.write_text(text)
    for config in (Config.fromfile(path), Config.fromstring(text, '.py')):
        assert config.model == {'type': 'POA', 'depth': 2}
        assert config.default_scope == 'mmseg'


def test_configs_of_this_checkout_are_found() -> None:
    root = Path(__file__).parents[2] / 'configs'
    name = min(root.rglob('_base_/**/*.py')).relative_to(root).as_posix()
    config = Config.fromstring(f"_base_ = 'poa_mm::{name}'", '.py')
    assert config.to_dict() == Config.fromfile(root / name).to_dict()


def test_variables_of_own_bases_keep_the_scope_of_the_config(own_configs: Path) -> None:
    text = "_base_ = 'poa_mm::pretrain/small.py'\nwrapped = dict(inner={{_base_.model}})\n"
    assert Config.fromstring(text, '.py').wrapped.inner == {'type': 'POA', 'depth': 2}


def test_unknown_own_config_is_named_with_the_known_ones(own_configs: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'poa_mm::pretrain/big\.py.*small\.py'):
        Config.fromstring("_base_ = 'poa_mm::pretrain/big.py'", '.py')


def test_without_configs_says_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_bases, '_CONFIGS', tmp_path / 'configs')
    with pytest.raises(FileNotFoundError, match='pip install -e'):
        Config.fromstring("_base_ = 'poa_mm::pretrain/small.py'", '.py')


def test_absent_mmseg_is_asked_for_by_its_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULE2PACKAGE, 'mmseg', 'mmsegmentation')
    monkeypatch.setattr(config_bases, 'find_spec', lambda name: None)
    config_bases.install()
    assert MODULE2PACKAGE['mmseg'] == 'mmsegmentation'


UPSTREAM = {'mmdet': 'mmdet', 'mmseg': 'mmsegmentation', 'mmpretrain': 'mmpretrain'}


def test_bases_of_upstream_distributions_resolve(tmp_path: Path) -> None:
    for module, distribution in UPSTREAM.items():
        info = tmp_path / f'{distribution}-9.9.9.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Name: {distribution}\nVersion: 9.9.9\n')
        (info / 'top_level.txt').write_text(f'{module}\n')
        mim = tmp_path / module / '.mim'
        (mim / 'configs' / 'plain').mkdir(parents=True)
        (tmp_path / module / '__init__.py').touch()
        (mim / 'model-index.yml').write_text('Import: []\n')
        (mim / 'configs' / 'plain' / 'net.py').write_text(f"{module} = 'upstream'\n")
    config = tmp_path / 'config.py'
    config.write_text(f'_base_ = {[f"{module}::plain/net.py" for module in UPSTREAM]}\n')
    code = (
        f'import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); '
        f"runpy.run_path({config_bases.__file__!r})['install'](); "
        'from mmengine.config import Config; '
        f'print(Config.fromfile({str(config)!r}).to_dict())'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == str(dict.fromkeys(UPSTREAM, 'upstream')), result.stderr
