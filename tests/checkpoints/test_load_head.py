"""Projection heads from checkpoints are those of the teacher that was trained."""

import pytest
import torch
from tiny.networks import HEADS, poa_config, randomise

from poa_mm.checkpoints.projection import load_head
from poa_mm.files import SUPERNET_INFO
from poa_mm.registry import MODELS


@pytest.mark.parametrize('alpha', [True, False])
def test_logits_of_every_width_are_the_teacher_s(tmp_path, alpha):
    config = poa_config()
    config['backbone']['alpha_scaling'] = alpha
    model = randomise(MODELS.build(config))
    info = {'backbone': model.teacher.backbone.config}
    path = tmp_path / 'iter_1.pth'
    torch.save({'state_dict': model.state_dict(), SUPERNET_INFO: info}, path)
    for number, prototypes in enumerate(HEADS):
        head = load_head(path, number)
        assert not head.training
        for width in (16, 24, 32):
            features = torch.randn(3, width)
            expected = model.teacher.head(features)[number]
            assert torch.equal(head(features), expected)
            assert expected.shape == (3, prototypes)
    with pytest.raises(ValueError, match=r'has the projection heads \[0, 1\], not 2'):
        load_head(path, 2)


def test_other_layers_are_named(tmp_path):
    model = MODELS.build(poa_config())
    state = {name: part for name, part in model.state_dict().items() if 'weight_g' not in name}
    torch.save({'state_dict': state}, tmp_path / 'iter_1.pth')
    with pytest.raises(ValueError, match=r'projection head 0 .* has other layers: .*weight_g'):
        load_head(tmp_path / 'iter_1.pth')
