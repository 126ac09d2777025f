"""What a tool that is called in this process ends with."""

import contextlib
import io
import sys


def outcome(main, *args):
    """Call a tool's ``main``.

    Returns:
        None after success; the line ``error: …`` after a mistake, whose exit code is 2; otherwise,
        as after an error of argparse, the exit code. The standard error stream is passed on.
    """
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            code = main(*args)
        except SystemExit as end:
            code = end.code
    text = said.getvalue()
    sys.stderr.write(text)
    if code == 2 and not text.startswith('usage: '):  # of argparse
        *before, line = text.splitlines()
        assert line.startswith('error: ')
        assert not any('Traceback' in other or 'error: ' in other for other in before)
        return line
    return code or None
