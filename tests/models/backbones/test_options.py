"""Every argument of mmpretrain's classes in an elastic network: it works, or is refused at once."""

import copy

import pytest
import torch
from tiny.families import TINY_RESNET, TINY_SWIN
from tiny.networks import TINY_POA, randomise

from poa_mm.registry import ELASTIC_BACKBONES, MODELS
from poa_mm.selection import subnet_cost

VIT = {
    'type': 'ElasticVisionTransformer',
    'arch': {'embed_dims': 32, 'num_layers': 3, 'num_heads': 4, 'feedforward_channels': 64},
    'widths': [16, 24, 32],
    'depths': [2, 3],
    'img_size': 16,
    'patch_size': 8,
    'layer_scale_init_value': 0.5,
}
SWIN = TINY_SWIN
RESNET = {
    **TINY_RESNET,
    'arch': {'stage_blocks': (1, 2, 3, 1), 'mid_channels': 16, 'out_channels': 32},
    'depths': [(1, 1, 2, 1), (1, 2, 3, 1)],
}
FAMILIES = {'vit': VIT, 'swin': SWIN, 'resnet': RESNET}
SIZES = {'vit': (16, 8), 'swin': (64, 32), 'resnet': (32, 16)}  # of global and local crops
BN, GN, LN, LN2D = ({'type': kind} for kind in ('BN', 'GN', 'LN', 'LN2d'))
RELU, SILU = {'type': 'ReLU'}, {'type': 'SiLU'}


def stages(*blocks):
    arch = {'stage_blocks': blocks, 'mid_channels': 16, 'out_channels': 32}
    return {'arch': arch, 'depths': [blocks], 'out_indices': (len(blocks) - 1,)}


WORKING = {
    'vit': [
        {'img_size': (16, 24)},
        {'img_size': 20},  # patches are completed
        {'img_size': 4},
        {'patch_size': (8, 4)},
        {'patch_size': 5},
        {'in_channels': 1},
        {'out_indices': (0, -1)},
        {'drop_rate': 0.1, 'drop_path_rate': 0.5},
        {'drop_path_rate': 0.9, 'drop_path_uniform': True},
        {'qkv_bias': False},
        {'norm_cfg': {**LN, 'eps': 1e-3}},
        {'norm_cfg': {**LN, 'elementwise_affine': False}},
        {'norm_cfg': {**LN, 'requires_grad': False}},
        {'final_norm': False},
        {'out_type': 'raw'},
        {'out_type': 'featmap', 'out_indices': [0, 1]},
        {'out_type': 'avg_featmap'},
        {'frozen_stages': 1},
        {'frozen_stages': 3, 'out_type': 'avg_featmap'},
        {'interpolate_mode': 'bilinear'},
        {'layer_scale_init_value': 0.0},
        {'patch_cfg': {'stride': 4}},
        {'patch_cfg': {'stride': 12}},
        {'patch_cfg': {'stride': None, 'bias': False}},
        {'patch_cfg': {'kernel_size': 4}},
        {'patch_cfg': {'padding': 'same', 'stride': 6}},
        {'patch_cfg': {'padding': 2}},
        {'patch_cfg': {'padding': 0, 'stride': (2, 4)}},
        {'patch_cfg': {'dilation': 2, 'norm_cfg': LN}},
        {'patch_cfg': {'in_channels': 2}},
        {'layer_cfgs': {'act_cfg': RELU}},
        {'layer_cfgs': [{'act_cfg': RELU}, {}, {'act_cfg': SILU}]},
        {'pre_norm': True},
        {'with_cp': True, 'drop_path_rate': 0.5},
    ],
    'swin': [
        {'img_size': (64, 96)},
        {'window_size': 7},
        {'patch_size': (4, 2)},
        {'patch_size': 3},
        {'in_channels': 4},
        {'norm_cfg': None},
        {'norm_cfg': {**LN, 'eps': 1e-3}},
        {'out_indices': (0, 1, 2, 3)},
        {'out_indices': (3, 0)},
        {'frozen_stages': 0},
        {'frozen_stages': 3, 'out_indices': (1, 3)},
        {'drop_rate': 0.1, 'drop_path_rate': 0.5},
        {'with_cp': True},
        {'official': True},
        {'use_abs_pos_embed': False, 'stage_cfgs': {}, 'patch_cfg': {}},
        {'arch': {'embed_dims': 16, 'depths': [1, 1, 3, 1], 'num_heads': [2, 2, 2, 2]}},
        {
            'arch': {'embed_dims': 16, 'depths': [1, 1, 3], 'num_heads': [2, 4, 8]},
            'out_indices': (2,),
            'depths': [3, 5],
        },
    ],
    'resnet': [
        {'in_channels': 2},
        {'stem_channels': 20},
        {'style': 'caffe'},
        {'dilations': (1, 1, 1, 1), 'num_stages': 4, 'deep_stem': False},
        {'strides': (1, 2, 1, 1)},
        {'strides': (1, 3, 2, 1)},
        {'norm_cfg': {**GN, 'num_groups': 4, 'affine': False}},
        {'norm_cfg': {**GN, 'num_groups': 4, 'eps': 1e-3}},
        {'zero_init_residual': False, 'norm_eval': True},
        {'out_indices': (0, 1, 2, 3)},
        {'out_indices': (0,)},
        {'frozen_stages': 0},
        {'frozen_stages': 4},
        {'drop_path_rate': 0.5, 'with_cp': True},
        stages(2, 1),
        stages(1, 2, 1),
        {**stages(3), 'strides': (2,)},
        {**stages(3), 'with_mask_token': False},
    ],
}
REFUSED = {
    'vit': [
        ({'img_size': 0}, r'img_size must be a whole number .*, got 0'),
        ({'img_size': (16, 16, 3)}, r'img_size .*, got \(16, 16, 3\)'),
        ({'patch_size': '8'}, "patch_size must be .*, got '8'"),
        ({'in_channels': 0}, 'in_channels must be a whole number of at least 1, got 0'),
        ({'out_indices': 'a'}, "out_indices must be whole numbers, .* got 'a'"),
        ({'out_indices': (0.5,)}, r'out_indices .* got \(0\.5,\)'),
        ({'out_indices': ()}, r'out_indices .* got \(\)'),
        ({'drop_rate': 1.5}, r'drop_rate must be a number within \[0, 1\), got 1\.5'),
        ({'drop_path_rate': 1.0}, r'drop_path_rate .* got 1\.0'),
        ({'drop_path_rate': [0.1, 0.2]}, r'drop_path_rate .* got \[0\.1, 0\.2\]'),
        ({'norm_cfg': BN}, "norm_cfg must be of type 'LN', got 'BN'"),
        ({'norm_cfg': LN2D}, "norm_cfg must be of type 'LN', got 'LN2d'"),
        ({'norm_cfg': None}, "norm_cfg must be of type 'LN', got None"),
        ({'out_type': 'map'}, "out_type must be one of .*'featmap'.*, got 'map'"),
        ({'with_cls_token': False, 'out_type': 'raw'}, 'backbone.with_cls_token=True, got False'),
        ({'frozen_stages': 4}, 'frozen_stages must be .* within -1…3, got 4'),
        ({'interpolate_mode': 'nearest'}, "interpolate_mode .* 'bilinear'.*, got 'nearest'"),
        ({'patch_cfg': {'padding': 'full'}}, "patch_cfg: padding .* 'same'.*, got 'full'"),
        ({'patch_cfg': {'padding': 0}, 'img_size': 6}, r'img_size 6 × 6 holds no patch of'),
        ({'patch_cfg': {'stride': 0}}, 'patch_cfg: stride must be .* at least 1.* got 0'),
        ({'patch_cfg': {'norm_cfg': BN}}, "patch_cfg: norm_cfg .* 'LN' or None, got 'BN'"),
        ({'patch_cfg': {'conv_type': 'Conv1d'}}, r"conv_type must be .*'Conv2d'.* got 'Conv1d'"),
        ({'patch_cfg': {'embed_dims': 64}}, "patch_cfg takes bias, .*stride; got 'embed_dims'"),
        ({'patch_cfg': {'input_size': 32}}, "patch_cfg takes .*; got 'input_size'"),
        ({'patch_cfg': None}, 'patch_cfg must be a dict, got None'),
        ({'layer_cfgs': [{}]}, 'layer_cfgs must be one dict or 3 of them, got 1'),
        ({'layer_cfgs': {'num_fcs': 3}}, r"layer_cfgs takes \('act_cfg',\).*got \['num_fcs'\]"),
        ({'layer_cfgs': {'act_cfg': {'type': 'PReLU'}}}, 'act_cfg .* without parameters.*PReLU'),
        ({'layer_cfgs': {'act_cfg': {'type': 'Relu'}}}, "act_cfg must be .*'GELU'.*'Relu'"),
        ({'arch': 'tiny'}, "arch must be one of b, base, .* got 'tiny'"),
        ({'arch': {'embed_dims': 32}}, 'arch must be a name or a dict of embed_dims, num_layers'),
        ({'arch': {**VIT['arch'], 'num_heads': 5}}, 'num_heads must divide embed_dims 32, got 5'),
        ({'widths': 16}, 'widths must be a list, got 16'),
        ({'gamma': 'a'}, 'gamma must be at least 1, got a'),
        ({'with_mask_token': False}, r'ibot_weight=1\.0 .*with_mask_token=True'),
    ],
    'swin': [
        ({'window_size': (4, 8)}, r'window_size must be a whole number .* got \(4, 8\)'),
        ({'window_size': 0}, 'window_size must be .* at least 1, got 0'),
        ({'norm_cfg': BN}, "norm_cfg must be of type 'LN' or None, got 'BN'"),
        ({'frozen_stages': 4}, 'frozen_stages must be .* within -1…3, got 4'),
        ({'use_abs_pos_embed': True}, 'use_abs_pos_embed cannot be set'),
        ({'out_after_downsample': True}, 'out_after_downsample cannot be set'),
        ({'stage_cfgs': {'block_cfgs': {}}}, 'stage_cfgs cannot be set'),
        ({'patch_cfg': {'stride': 2}}, 'patch_cfg cannot be set'),
        ({'out_indices': (0,)}, r'out_indices must hold the last stage 3, got \(0,\)'),
        ({'out_indices': 3}, 'out_indices must be stages within 0…3, got 3'),
        ({'drop_path_rate': 2.0}, r'drop_path_rate .* got 2\.0'),
        ({'arch': 'huge'}, "arch must be one of b, base, .* got 'huge'"),
        (
            {'arch': {'embed_dims': 16, 'depths': [1, 1], 'num_heads': [2, 4]}},
            r'depths must be of at least 3 stages.*got \[1, 1\]',
        ),
        (
            {'arch': {'embed_dims': 16, 'depths': [1, 1, 3, 1], 'num_heads': [2, 4, 8]}},
            r'num_heads must be 4 positive whole numbers, got \[2, 4, 8\]',
        ),
        (
            {'arch': {'embed_dims': 16, 'depths': [1, 1, 3, 1], 'num_heads': [2, 4, 8, 3]}},
            r'num_heads must divide the channels \[16, 32, 64, 128\].*got \[2, 4, 8, 3\]',
        ),
        (
            {'arch': {'embed_dims': 16, 'depths': [1, 1, 3, 1], 'num_heads': [2, 1, 2, 2]}},
            r'have no whole share at the widths \[8\]',
        ),
        ({'with_mask_token': False}, 'masks patches'),
    ],
    'resnet': [
        ({'stem_channels': 18}, 'num_groups must divide .*, got 4 for stem_channels 18'),
        ({'style': 'tf'}, r"style must be one of \('pytorch', 'caffe'\), got 'tf'"),
        ({'deep_stem': True}, 'deep_stem cannot be set'),
        ({'avg_down': True}, 'avg_down cannot be set'),
        (
            {'dilations': (1, 1, 2, 4)},
            r'dilations must be one of .*1, 1.*, got \(1, 1, 2',
        ),
        ({'strides': (1, 2, 2)}, r'strides must be 4 positive whole numbers, got \(1, 2, 2\)'),
        ({'frozen_stages': 5}, 'frozen_stages must be .* within -1…4, got 5'),
        ({'norm_cfg': {**GN, 'num_groups': 3}}, 'num_groups must divide all channels, got 3'),
        ({'norm_cfg': GN}, 'num_groups must be a whole number of at least 1, got None'),
        ({'num_stages': 3}, r'num_stages must be one of \(4,\), got 3'),
        ({'drop_path_rate': -1.0}, r'drop_path_rate .* got -1\.0'),
        ({'expansion': 2}, 'expansion cannot be set; give stage_blocks'),
        ({'out_indices': 3}, 'out_indices must be stages within 0…3, got 3'),
    ],
}


def cases(table):
    return [
        pytest.param(family, *(row if isinstance(row, tuple) else (row,)), id=f'{family}-{row}')
        for family, rows in table.items()
        for row in rows
    ]


def poa(family, changes):
    cfg = copy.deepcopy({**TINY_POA, 'backbone': {**FAMILIES[family], **changes}})
    if changes.get('with_mask_token') is False:
        cfg['ibot_weight'] = 0.0
    return cfg


def channels_of(changes):
    return changes.get('in_channels', (changes.get('patch_cfg') or {}).get('in_channels', 3))


@pytest.mark.parametrize(('family', 'changes'), cases(WORKING))
def test_what_works_works_all_the_way(family, changes):
    """A step, each of whose parameters gets a gradient; extraction, costs, another opening."""
    torch.manual_seed(0)
    model = MODELS.build(poa(family, changes))
    model.init_weights()
    sides, channels = SIZES[family], channels_of(changes)
    views = [torch.randn(2, channels, side, side) for side in (*sides[:1] * 2, *sides[1:] * 2)]
    model.loss(views)['loss'].backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    net = randomise(model.eval().backbone)
    batch = torch.randn(2, channels, sides[0], sides[0] + 8)
    with torch.no_grad():
        for subnet in (net.space.smallest, net.space.largest):
            if changes.get('official') and subnet == net.space.smallest:
                continue  # no stock network normalises with channels that it lacks
            for mine, theirs in zip(net(batch, subnet), net.extract(subnet)(batch), strict=True):
                torch.testing.assert_close(mine, theirs, rtol=0, atol=2e-5)
        assert subnet_cost(net, 'largest', sides[0]).params == net.num_params('largest')
        twin = ELASTIC_BACKBONES.build(net.config)
        twin.load_state_dict(net.state_dict())
        assert all(map(torch.equal, twin.eval()(batch), net(batch)))
    depths = [net.get_layer_depth(name) for name, _ in net.named_parameters()]
    assert all(0 <= depth < number for depth, number in depths)


@pytest.mark.parametrize(('family', 'changes', 'message'), cases(REFUSED))
def test_what_does_not_is_refused_when_it_is_built(family, changes, message):
    cfg = copy.deepcopy({**TINY_POA, 'backbone': {**FAMILIES[family], **changes}})
    with pytest.raises(ValueError, match=message) as error:
        MODELS.build(cfg)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize('family', FAMILIES)
def test_arguments_that_there_are_not(family):
    with pytest.raises(TypeError, match=r"takes .*, in_channels, .*; got 'colour'"):
        MODELS.build({**FAMILIES[family], 'colour': 1})


def test_crops_of_other_channels_than_the_backbone_s():
    model = MODELS.build(poa('vit', {'in_channels': 1}))
    views = [torch.randn(2, 3, side, side) for side in (16, 16, 8)]
    with pytest.raises(ValueError, match=r'takes images of 1 channels .* the crops have 3'):
        model.loss(views)


@pytest.mark.parametrize('out_type', ['raw', 'cls_token', 'featmap'])
def test_extraction_for_another_output_leaves_out_the_norm_of_averages(out_type):
    net = randomise(MODELS.build({**VIT, 'out_type': 'avg_featmap'})).eval()
    stock = net.extract('w16-d2', out_type=out_type)
    twin = MODELS.build({**VIT, 'out_type': out_type}).eval()
    twin.load_state_dict(net.state_dict(), strict=False)
    batch = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(stock(batch)[0], twin(batch, 'w16-d2')[0])
