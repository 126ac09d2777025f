"""The attention that is watched is softmax(q kᵀ / √d) of the last block, written out plainly."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny.families import TINY, build, images

from poa_mm.evaluation import MeasuredSupernet, Network, Tokens, open_measured
from poa_mm.evaluation.networks.single_network import SingleNetwork
from poa_mm.evaluation.networks.stock_tokens import stock_tokens
from poa_mm.evaluation.pictures.watched_attention import watched_tokens

VIT = build('vit', **TINY['vit'])


def explicit(run, qkv, heads, extra):
    """Attention of the first token to the patches, from the projections of the last block."""
    found = []
    handle = qkv.register_forward_hook(lambda module, args, out: found.append(out.double()))
    with torch.no_grad():
        run()
    handle.remove()
    (projected,) = found
    q, k, _ = projected.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    rows = [
        [
            torch.tensor([q[b, h, 0] @ key / math.sqrt(len(key)) for key in k[b, h]]).exp()
            for h in range(heads)
        ]
        for b in range(len(q))
    ]
    return torch.stack([torch.stack([w / w.sum() for w in row]) for row in rows])[..., extra:]


def single(run):
    """A network that is nothing but a function from images to tokens."""
    about = MeasuredSupernet(VIT).preprocessing
    return SingleNetwork(run, Network('net'), about, '', '', torch.device('cpu'), torch.float32)


@settings(max_examples=6, deadline=None)
@given(subnet=st.sampled_from(VIT.subnets), side=st.sampled_from([16, 20, 24]))
def test_every_sub_network_at_any_size(subnet, side):
    measured = MeasuredSupernet(VIT)
    network = next(one for one in measured.networks if one.subnet == subnet)
    batch = images('vit', size=side)
    tokens, weights = watched_tokens(measured, network, batch)
    assert tokens.grid == (side // 4, side // 4)
    heads = subnet.width // VIT.head_dims
    stock = VIT.extract(subnet)
    expected = explicit(lambda: stock(batch), stock.layers[-1].attn.qkv, heads, 1)
    torch.testing.assert_close(weights.double(), expected, rtol=1e-4, atol=1e-6)
    _, of_stock = watched_tokens(single(stock_tokens(stock)), Network('net'), batch)
    torch.testing.assert_close(of_stock, weights)


def test_a_model_of_timm():
    measured = open_measured('vit_tiny_patch16_224', image_size=64)
    batch = images('vit', size=64)
    (network,) = measured.networks
    _, weights = watched_tokens(measured, network, batch)
    assert weights.shape == (2, 3, 16)
    net = next(
        cell.cell_contents
        for cell in measured.run.__closure__
        if hasattr(cell.cell_contents, 'blocks')
    )
    expected = explicit(lambda: net(batch), net.blocks[-1].attn.qkv, 3, 1)
    torch.testing.assert_close(weights.double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('family', ['swin', 'resnet'])
def test_families_without_attention_to_the_whole_image(family):
    measured = MeasuredSupernet(build(family, **TINY[family]))
    tokens, weights = watched_tokens(measured, measured.networks[0], images(family))
    assert weights is None
    assert tokens.patches.shape[1] == math.prod(tokens.grid)


def test_biases_scales_and_networks_of_patches_alone():
    generator = torch.Generator().manual_seed(1)
    q, k = (torch.randn(1, 2, 4, 3, generator=generator) for _ in range(2))
    bias = torch.randn(1, 2, 4, 4, generator=generator)

    def run(mask):
        def tokens(batch):
            F.scaled_dot_product_attention(q, k, k, mask, scale=0.3)
            return Tokens(torch.zeros(1, 3), torch.zeros(1, 4, 3), (2, 2))

        return watched_tokens(single(tokens), Network('net'), torch.zeros(1, 3, 8, 8))[1]

    scores = 0.3 * torch.einsum('bhqd,bhkd->bhqk', q, k)
    mean = (scores + bias).softmax(-1).mean(2)
    torch.testing.assert_close(run(bias), mean)
    kept = bias > -0.5
    kept[..., 0] = True
    masked = torch.where(kept, scores, -torch.inf).softmax(-1).mean(2)
    torch.testing.assert_close(run(kept), masked)


def test_windows_are_no_attention_to_the_whole_image():
    def run(batch):
        whole = torch.zeros(1, 2, 4, 3)
        windows = whole.reshape(2, 2, 2, 3)
        for one in (windows, whole):
            F.scaled_dot_product_attention(one, one, one)
        return Tokens(torch.zeros(1, 3), torch.zeros(1, 4, 3), (2, 2))

    assert watched_tokens(single(run), Network('net'), torch.zeros(1, 3, 8, 8))[1] is None
