"""A supernet without values."""

import pytest
from tiny.networks import VIT

from poa_mm.checkpoints import build_on_meta


@pytest.fixture
def net():
    """Six sub-networks, for their costs."""
    return build_on_meta(dict(VIT))
