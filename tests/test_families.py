"""Families that other packages name by an entry point, each in a Python of its own."""

import os
import subprocess
import sys

import pytest
from helpers import ROOT, install_metadata

from poa_mm.families import GROUP

FAMILY = """
from poa_mm.models.backbones import ElasticVisionTransformer
from poa_mm.registry import ELASTIC_BACKBONES


@ELASTIC_BACKBONES.register_module()
class MyFamily(ElasticVisionTransformer):
    pass
"""
# PyTorch is imported once; what each order imports after it, in a fork of its own.
ORDERS = """
import os, torch, torchvision
for first in ('poa_mm', 'poa_mm.elastic', 'my_family'):
    process = os.fork()
    if not process:
        __import__(first)
        from poa_mm.registry import ELASTIC_BACKBONES
        print(first, 'MyFamily' in ELASTIC_BACKBONES, flush=True)
        os._exit(0)
    os.waitpid(process, 0)
"""


def run(code, folder):
    return subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(folder)},
        capture_output=True,
        text=True,
    )


def test_a_family_is_there_whatever_is_imported_first(tmp_path):
    (tmp_path / 'my_family.py').write_text(FAMILY)
    install_metadata(tmp_path, 'my-package', GROUP, 'mine = my_family')
    done = run(ORDERS, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['poa_mm True', 'poa_mm.elastic True', 'my_family True'], (
        done.stderr
    )


@pytest.mark.parametrize(
    ('source', 'reason'),
    [
        (None, "ModuleNotFoundError: No module named 'my_family'"),
        ('1 / 0', 'ZeroDivisionError: division by zero'),
        ('import poa_mm.nothing', "ModuleNotFoundError: No module named 'poa_mm.nothing'"),
    ],
)
def test_a_broken_family_is_named(tmp_path, source, reason):
    if source:
        (tmp_path / 'my_family.py').write_text(source)
    install_metadata(tmp_path, 'my-package', GROUP, 'mine = my_family')
    done = run('import poa_mm', tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        'ImportError: package my-package is installed and names a family of poa_mm, mine = '
        f"'my_family' (entry point group {GROUP}), which cannot be imported: {reason}"
    )
