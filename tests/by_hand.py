"""Sub-networks cut by the formulas as the paper prints them, independent of the package's own."""

from mmpretrain.models.backbones import VisionTransformer
from torch import cat


def slice_by_hand(state, subnet, arch):
    """Weights of a stock ViT out of those of a supernet (Eq. 2, 3 and 4)."""
    width, full = subnet.width, arch['embed_dims']
    hidden = arch['feedforward_channels'] * width // full
    alpha = full / width
    blocks = [0]
    if subnet.depth > 1:
        steps = range(subnet.depth)
        blocks = [(arch['num_layers'] - 1) * j // (subnet.depth - 1) for j in steps]
    sliced = {}
    for name, value in state.items():
        new_name = part = name
        if name.startswith('layers.'):
            _, block, part = name.split('.', 2)
            if int(block) not in blocks:
                continue
            new_name = f'layers.{blocks.index(int(block))}.{part}'
        if part.startswith('attn.qkv.'):
            value = cat([value[row : row + width] for row in (0, full, 2 * full)])
            sliced[new_name] = value[:, :width] * alpha if part.endswith('weight') else value
        elif part == 'attn.proj.weight':
            sliced[new_name] = value[:width, :width] * alpha
        elif part == 'ffn.layers.0.0.weight':
            sliced[new_name] = value[:hidden, :width] * alpha
        elif part == 'ffn.layers.0.0.bias':
            sliced[new_name] = value[:hidden]
        elif part == 'ffn.layers.1.weight':
            sliced[new_name] = value[:width, :hidden] * alpha
        elif part in ('cls_token', 'pos_embed'):
            sliced[new_name] = value[..., :width]
        else:  # patch embedding, norms, LayerScale, all other biases
            sliced[new_name] = value[:width]
    return sliced


def stock_by_hand(supernet, subnet, **arguments):
    """Mmpretrain's ViT with the weights of :func:`slice_by_hand`, in evaluation mode.

    ``arguments`` are those of the supernet that mmpretrain's class knows, other than ``arch``.
    """
    full = supernet.arch_settings
    arch = {
        'embed_dims': subnet.width,
        'num_layers': subnet.depth,
        'num_heads': full['num_heads'] * subnet.width // full['embed_dims'],
        'feedforward_channels': full['feedforward_channels'] * subnet.width // full['embed_dims'],
    }
    stock = VisionTransformer(arch, **arguments).to(supernet.pos_embed.dtype)
    stock.load_state_dict(slice_by_hand(supernet.state_dict(), subnet, full))
    stock.eval()
    return stock
