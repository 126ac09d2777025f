"""What one process does for all."""

import pytest
from ranks import run_distributed

from poa_mm.engine.first_rank import on_first_rank


def work(calls, answer):
    calls.append(answer)
    if isinstance(answer, Exception):
        raise answer
    return answer


def each(rank):
    """The result, the error and the number of calls on a rank."""
    calls = []
    result = on_first_rank(lambda: work(calls, {'masks': 4}))
    try:
        on_first_rank(lambda: work(calls, ValueError('masks/1.png: label 7')))
    except ValueError as error:
        return {'result': result, 'error': str(error), 'calls': len(calls)}


def test_result_and_error_are_those_of_the_first_process():
    first, second = run_distributed(each, 2)
    assert first == {'result': {'masks': 4}, 'error': 'masks/1.png: label 7', 'calls': 2}
    assert second == {**first, 'calls': 0}


def test_a_process_alone_does_it_itself():
    assert on_first_rank(lambda: 3) == 3
    with pytest.raises(FileNotFoundError, match='gone'):
        on_first_rank(lambda: work([], FileNotFoundError('gone')))
