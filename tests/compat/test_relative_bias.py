"""Position biases of windows of another size, which mmpretrain could resize until SciPy 1.14."""

import numpy as np
import pytest
import torch
from mmpretrain.models.backbones import SwinTransformer
from tiny.families import TINY_SWIN
from tiny.networks import randomise

from poa_mm.checkpoints import save_backbone
from poa_mm.compat.relative_bias import _places, resize_bias_table
from poa_mm.registry import MODELS


@pytest.mark.parametrize(('source', 'target'), [(7, 13), (13, 7), (5, 9), (7, 7)])
def test_a_cubic_function_of_the_offsets_stays_what_it_is(source, target):
    """A spline of degree 3 through its values is that function, within the outermost places."""
    places = _places(source, target)
    wanted = np.arange(-(target // 2), target // 2 + 1)

    def bias(rows, columns):
        y, x = rows[:, None], columns[None]
        return np.stack([0.1 * y**3 - x * y + 2 * x**2 + 1, x - 3 * y], axis=-1)

    table = torch.tensor(bias(places, places)).flatten(0, 1)
    inside = np.abs(wanted) <= places[-1]
    resized = resize_bias_table(source, target, table, 2).unflatten(0, (target, target))
    expected = torch.tensor(bias(wanted[inside], wanted[inside]))
    torch.testing.assert_close(resized[inside][:, inside], expected, rtol=0, atol=1e-8)
    assert resized.isfinite().all()


def test_the_last_offset_of_the_source_is_that_of_the_target():
    for source, target in ((13, 25), (23, 47), (15, 23)):
        places = _places(source, target)
        assert len(places) == source
        assert places[-1] == pytest.approx(target // 2, abs=1e-3)
        assert (np.diff(places) > 0).all()
    # Distances grow by half at most: the outermost ones of a much larger window are alike.
    assert _places(7, 13)[-3:] == pytest.approx([1, 2.5, 4.75], abs=1e-4)


def test_small_and_odd_windows():
    one = torch.tensor([[1.0, -2.0]])
    assert torch.equal(resize_bias_table(1, 3, one, 2), one.expand(9, -1))
    assert resize_bias_table(3, 7, torch.randn(9, 2).half(), 2).dtype == torch.float16
    with pytest.raises(
        ValueError, match='105 relative positions does not belong to a square window'
    ):
        resize_bias_table(10, 7, torch.zeros(105, 2), 2)


@pytest.mark.parametrize('window', [2, 3, 7])
@pytest.mark.parametrize('subnet', ['smallest', 'largest'])
def test_all_ways_into_another_window_give_the_same_network(window, subnet, tmp_path):
    net = randomise(MODELS.build(TINY_SWIN)).eval()
    expected = net.extract(subnet, window_size=window)
    save_backbone(net, subnet, tmp_path / 'net.pth')
    init = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'net.pth')}
    filled = MODELS.build(net.subnet_cfg(subnet, window_size=window, init_cfg=init))
    filled.init_weights()
    assert type(filled) is SwinTransformer
    for name, value in expected.state_dict().items():
        assert torch.equal(filled.state_dict()[name], value), name
    if subnet == 'largest':
        supernet = MODELS.build({**TINY_SWIN, 'window_size': window, 'init_cfg': init})
        supernet.init_weights()
        state = supernet.extract().state_dict()
        assert all(torch.equal(state[name], value) for name, value in expected.state_dict().items())
    filled.eval()
    with torch.no_grad():
        assert filled(torch.randn(1, 3, 64, 64))[-1].isfinite().all()
