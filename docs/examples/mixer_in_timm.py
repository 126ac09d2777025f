"""What an MLP-Mixer of mmpretrain is called in timm, for tools/export_subnet.py."""

import re

from mmpretrain.models.backbones import MlpMixer

from poa_mm.export import TimmForm, timm_form

# By pixels of a patch, width and blocks, which timm.create_model lets nobody set.
NAMES = {
    (32, 512, 8): 'mixer_s32_224',
    (16, 512, 8): 'mixer_s16_224',
    (32, 768, 12): 'mixer_b32_224',
    (16, 768, 12): 'mixer_b16_224',
    (32, 1024, 24): 'mixer_l32_224',
    (16, 1024, 24): 'mixer_l16_224',
}
EPS = 1e-6  # of timm's norms; mmpretrain's default is another
RENAMED = {
    r'^patch_embed\.projection\.': 'stem.proj.',
    r'^layers\.(\d+)\.ln([12])\.': r'blocks.\1.norm\2.',
    r'^layers\.(\d+)\.(token|channel)_mix\.layers\.0\.0\.': r'blocks.\1.mlp_\2s.fc1.',
    r'^layers\.(\d+)\.(token|channel)_mix\.layers\.1\.': r'blocks.\1.mlp_\2s.fc2.',
    r'^ln1\.': 'norm.',
}


@timm_form.register
def mixer_form(net: MlpMixer, image_size: tuple[int, int]) -> TimmForm:
    """The same network in timm.

    Raises:
        ValueError: A size that timm does not have, or norms with another ε.
    """
    arch, projection = net.arch_settings, net.patch_embed.projection
    size = (projection.kernel_size[0], arch['embed_dims'], arch['num_layers'])
    if size not in NAMES:
        raise ValueError(
            'timm has MLP-Mixers of (pixels of a patch, width, blocks) '
            f'{", ".join(map(str, NAMES))} alone, not {size}'
        )
    if net.norm1.eps != EPS:
        raise ValueError(
            f"timm's MLP-Mixer has norms with eps {EPS}, this one with {net.norm1.eps}; train it "
            f"with norm_cfg=dict(type='LN', eps={EPS})"
        )
    hidden = (arch['tokens_mlp_dims'], arch['channels_mlp_dims'])
    kwargs = {
        'img_size': list(image_size),
        'in_chans': projection.in_channels,
        'mlp_ratio': [(number + 0.5) / arch['embed_dims'] for number in hidden],  # rounded down
    }
    state = {}
    for name, tensor in net.state_dict().items():
        for old, new in RENAMED.items():
            name = re.sub(old, new, name)
        state[name] = tensor
    return TimmForm(NAMES[size], kwargs, state)
