"""Importing onedl-mmpretrain prints "Could not import OneDL" to every user.

It means an unrelated product of the distribution's maintainers. The line is sent to ``print_log``
at debug level, but without a logger, which prints whatever the level.
"""

import importlib
import io
import sys
from contextlib import redirect_stdout

MESSAGE = 'Could not import OneDL'


def install() -> None:
    """Import mmpretrain's data sets without that line; anything else they print stays."""
    if 'mmpretrain.datasets' in sys.modules:
        return
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            importlib.import_module('mmpretrain.datasets')
    finally:
        for line in printed.getvalue().splitlines():
            if line.strip() != MESSAGE:
                print(line)
