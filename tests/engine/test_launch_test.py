"""Which process writes what a test has measured."""

from types import SimpleNamespace
from unittest import mock

import pytest
from mmengine.hooks import IterTimerHook, LoggerHook

from poa_mm.engine import launch_test


@pytest.mark.parametrize('first', [True, False])
def test_one_process_writes_the_metrics(first, tmp_path):
    """Written by several at once, the file is torn."""
    logger = LoggerHook()
    logger.json_log_path = 'metrics.json'
    processor = SimpleNamespace(get_log_after_epoch=lambda *args, **kwargs: ({'top1': 1.0}, ''))
    runner = SimpleNamespace(
        hooks=[IterTimerHook(), logger],
        log_processor=processor,
        log_dir=str(tmp_path),
        logger=mock.Mock(),
        test_dataloader=[],
    )
    with mock.patch.object(launch_test, 'is_main_process', return_value=first):
        launch_test._write_once(runner)
    logger.after_test_epoch(runner, metrics={})
    assert (tmp_path / 'metrics.json').exists() == first
