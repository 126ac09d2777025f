"""The line that onedl prints on import goes, and no other; test_registration.py imports afresh."""

import logging

import mmengine.logging
import pytest

from poa_mm.compat import onedl_message


@pytest.mark.parametrize('text', ['Could not import OneDL', 'Could not import OneDL. Skipping.'])
def test_only_that_line_goes(text, capsys):
    for line in ('before', text, 'after', 3):
        mmengine.logging.print_log(line, level=logging.DEBUG)
    assert capsys.readouterr().out == 'before\nafter\n3\n'


def test_loggers_are_passed_on(caplog):
    logger = logging.getLogger('passed on')
    with caplog.at_level(logging.INFO, logger='passed on'):
        mmengine.logging.print_log('text', logger, logging.WARNING)
    assert caplog.record_tuples == [('passed on', logging.WARNING, 'text')]
    with pytest.raises(ValueError, match='has not been created'):
        mmengine.logging.print_log('text', logger='no such logger')


def test_installing_twice_wraps_once():
    onedl_message.install()
    onedl_message.install()
    assert not hasattr(mmengine.logging.print_log.__wrapped__, '__wrapped__')
