"""Sub-networks cut by the formulas as the paper prints them, independent of the package's own."""

from mmpretrain.models.backbones import VisionTransformer
from torch import cat, where


def slice_by_hand(state, subnet, arch, alpha_scaling=True):
    """Weights of a stock ViT out of those of a supernet (Eq. 2, 3 and 4)."""
    width, full = subnet.width, arch['embed_dims']
    hidden = arch['feedforward_channels'] * width // full
    alpha = full / width if alpha_scaling else 1.0
    blocks = [0]
    if subnet.depth > 1:
        steps = range(subnet.depth)
        blocks = [(arch['num_layers'] - 1) * j // (subnet.depth - 1) for j in steps]
    sliced = {}
    for name, value in state.items():
        if name == 'mask_token':  # of pre-training
            continue
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
    alpha = supernet.alpha_scaling
    stock.load_state_dict(slice_by_hand(supernet.state_dict(), subnet, full, alpha))
    stock.eval()
    return stock


def differentiable(stock, supernet, subnet):
    """``stock`` with the slices themselves as weights: gradients reach the supernet."""
    weights = dict(supernet.named_parameters())
    sliced = slice_by_hand(weights, subnet, supernet.arch_settings, supernet.alpha_scaling)
    for name, value in sliced.items():
        owner, _, leaf = name.rpartition('.')
        module = stock.get_submodule(owner)
        delattr(module, leaf)
        setattr(module, leaf, value)
    return stock


def masked_tokens(stock, images, masks, token):
    """All tokens, normalised, of a stock ViT that sees ``token`` instead of masked patches."""
    patches, _ = stock.patch_embed(images)
    patches = where(masks[..., None], token, patches)
    x = cat([stock.cls_token.expand(len(images), -1, -1), patches], dim=1) + stock.pos_embed
    for layer in stock.layers:
        x = layer(x)
    return stock.ln1(x)
