import subprocess
import sys

import pytest

from poa_mm.compat import onedl_message


def test_importing_the_package_prints_nothing():
    process = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', 'import poa_mm'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout == ''


@pytest.mark.parametrize('fails', [False, True])
def test_other_output_of_the_import_stays(fails, monkeypatch, capsys):
    def importing(name):
        assert name == 'mmpretrain.datasets'
        print('before\nCould not import OneDL\nafter')
        if fails:
            raise ImportError(name)

    monkeypatch.delitem(sys.modules, 'mmpretrain.datasets')
    monkeypatch.setattr(onedl_message.importlib, 'import_module', importing)
    if fails:
        with pytest.raises(ImportError):
            onedl_message.install()
    else:
        onedl_message.install()
    assert capsys.readouterr().out == 'before\nafter\n'


def test_an_imported_mmpretrain_is_left_alone(monkeypatch):
    monkeypatch.setattr(onedl_message.importlib, 'import_module', pytest.fail)
    onedl_message.install()
