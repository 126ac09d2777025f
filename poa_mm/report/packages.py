"""Packages that only reports need."""

import importlib.util
from collections.abc import Sequence

__all__ = ['EMBEDDINGS', 'PAGE', 'check_packages']

PAGE = ('jinja2', 'plotly')  # of the extra 'report', as the next
EMBEDDINGS = ('pyarrow',)


def check_packages(names: Sequence[str]) -> None:
    """Check that packages are installed.

    Args:
        names: What they are imported as.

    Raises:
        ModuleNotFoundError: One is missing; the message has the command that installs it.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"a report needs {', '.join(missing)}: pip install 'poa_mm[report]' "
            "(in a checkout: pip install -e '.[report]')"
        )
