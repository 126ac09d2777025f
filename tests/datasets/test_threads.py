"""Threads that look at files have ended, for the system as well, when the results are there."""

import sys
from pathlib import Path
from threading import get_native_id

import cv2
import numpy as np
import pytest

from poa_mm.datasets.threads import each

TASKS = Path('/proc/self/task')
IMAGE = np.zeros((8, 8, 3), np.uint8)


def look(item):
    cv2.cvtColor(IMAGE, cv2.COLOR_RGB2BGR)  # for which OpenCV allocates, and frees at the end
    return item, get_native_id()


@pytest.mark.skipif(sys.platform != 'linux', reason='the system lists its threads on Linux')
def test_no_thread_is_left_that_a_fork_could_catch():
    left = 0
    for _ in range(100):
        items, threads = zip(*each(look, range(40), 'numbers'), strict=True)
        assert items == tuple(range(40))
        left += any((TASKS / str(number)).exists() for number in threads)
    assert not left


def test_an_error_in_a_thread_comes_out():
    with pytest.raises(ZeroDivisionError):
        list(each(lambda number: 1 // number, [2, 1, 0], 'numbers'))
