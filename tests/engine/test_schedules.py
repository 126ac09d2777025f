"""Schedules against tables by hand."""

import pytest

from poa_mm.engine.schedules import cosine, linear

HALF_SQRT_2 = 0.7071067811865476


def test_cosine():
    # 2 at the start, 0 at the end: 1 + cos(π · step / 4).
    table = [2, 1 + HALF_SQRT_2, 1, 1 - HALF_SQRT_2, 0, 0, 0]
    assert [cosine(2, 0, step, 4) for step in range(7)] == pytest.approx(table, abs=1e-12)


def test_cosine_of_the_momentum_rises():
    assert cosine(0.992, 0.9999, 0, 10) == pytest.approx(0.992, abs=1e-15)
    assert cosine(0.992, 0.9999, 5, 10) == pytest.approx((0.992 + 0.9999) / 2, abs=1e-12)
    assert cosine(0.992, 0.9999, 10, 10) == 0.9999
    assert cosine(0.992, 0.9999, 10**9, 10) == 0.9999


def test_linear():
    table = [0.04, 0.05, 0.06, 0.07, 0.07, 0.07]
    assert [linear(0.04, 0.07, step, 3) for step in range(6)] == pytest.approx(table, abs=1e-15)


@pytest.mark.parametrize('schedule', [cosine, linear])
def test_a_schedule_of_no_steps_has_ended(schedule):
    assert [schedule(1, 3, step, 0) for step in range(3)] == [3, 3, 3]
