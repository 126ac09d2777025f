"""Features that processes share."""

import torch
from ranks import run_distributed

from poa_mm.evaluation.network_features import SplitFeatures


def gathered(rank):
    """What both processes get where the first has the features of all images but none, or all."""
    found = []
    for share in (5, 3):
        rows = (torch.arange(share), torch.arange(share, 5))[rank]
        features = {'cls': rows[:, None] * torch.ones(2)}
        whole = SplitFeatures(features, rows, torch.arange(5), shared=True).gathered()
        found.append(whole.features['cls'])
    return found


def test_a_process_may_have_the_images_of_all():
    expected = torch.arange(5.0)[:, None].expand(5, 2)
    for found in run_distributed(gathered, 2):
        assert all(torch.equal(features, expected) for features in found)
