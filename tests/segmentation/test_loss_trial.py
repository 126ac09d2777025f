"""Losses that cannot learn the classes are found before they are used."""

import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

import poa_mm.segmentation.mmseg_modules  # noqa: F401  # SweepHead
from poa_mm.segmentation.loss_trial import try_losses

CE = {'type': 'CrossEntropyLoss'}
SIGMOID = {**CE, 'use_sigmoid': True}
DICE = {'type': 'DiceLoss'}
WEIGHTS = [1.0, 2.0, 1.0]


class Segmentor(nn.Module):
    """What the trial knows of a segmentor."""

    def __init__(self, head, auxiliary=None):
        super().__init__()
        self.decode_head = MODELS.build({**head, '_scope_': 'mmseg'})
        self.auxiliary_head = auxiliary and MODELS.build({**auxiliary, '_scope_': 'mmseg'})


def head_of(loss, num_classes=3, **settings):
    return {
        'type': 'FCNHead',
        'in_channels': 4,
        'channels': 4,
        'num_convs': 0,
        'concat_input': False,
        'num_classes': num_classes,
        'loss_decode': loss,
        **settings,
    }


def binary(loss, **settings):
    return head_of(loss, num_classes=2, out_channels=1, threshold=0.5, **settings)


@pytest.mark.parametrize(
    'head',
    [
        head_of(CE),
        head_of({**CE, 'avg_non_ignore': True}),
        head_of({**CE, 'class_weight': WEIGHTS}),
        head_of(SIGMOID),
        head_of([CE, {**SIGMOID, 'loss_name': 'loss_bce'}]),
        head_of(CE, ignore_index=0),
        head_of(CE, num_classes=150),
    ],
)
def test_losses_that_can_be_computed(head):
    segmentor = Segmentor(head)
    state = torch.get_rng_state()
    assert try_losses(segmentor) == []
    assert torch.equal(torch.get_rng_state(), state)  # a run draws what it would have drawn


@pytest.mark.parametrize(
    ('head', 'message'),
    [
        (
            binary(CE),
            r'out_channels=1 and ignore_index=255: Target 1 is out of bounds.* needs use_s',
        ),
        (
            head_of({**CE, 'class_weight': WEIGHTS[:2]}),
            'CrossEntropyLoss of decode_head cannot be computed for num_classes=3, out_channels=3 ',
        ),
        (
            head_of({**SIGMOID, 'class_weight': WEIGHTS}),
            'cannot be computed .* must match the size',
        ),
        (
            head_of({**CE, 'class_weight': WEIGHTS, 'avg_non_ignore': True}),
            'CrossEntropyLoss of decode_head cannot be computed',
        ),
        (head_of({'type': 'FocalLoss'}), 'FocalLoss of decode_head cannot'),  # but on a GPU
        (head_of(CE, ignore_index=None), 'ignore_index=None: .*must be int, not NoneType'),
        (head_of({**CE, 'loss_weight': float('nan')}), 'of decode_head is nan on labels of all'),
        (head_of([CE, {**CE, 'class_weight': WEIGHTS[1:]}]), 'of decode_head cannot be computed'),
    ],
)
def test_losses_that_cannot(head, message):
    with pytest.raises(ValueError, match=message):
        try_losses(Segmentor(head))


def test_auxiliary_heads_are_tried_too():
    with pytest.raises(ValueError, match='CrossEntropyLoss of auxiliary_head cannot be computed'):
        try_losses(Segmentor(head_of(CE), head_of({**CE, 'class_weight': WEIGHTS[:1]})))


def test_a_channel_that_the_loss_does_not_see_learns_nothing():
    """Labels of one class in one channel: the softmax is 1 whatever the network says."""
    segmentor = Segmentor(binary(CE))
    segmentor.decode_head.num_classes = 1
    with pytest.raises(ValueError, match='does not depend on the only channel of its head'):
        try_losses(segmentor)


@pytest.mark.parametrize(
    'head', [binary(SIGMOID), head_of({'type': 'LovaszLoss', 'per_image': True})]
)
def test_losses_that_cannot_learn_from_nothing_are_noted(head):
    kind = head['loss_decode']['type']
    note = f'{kind} of decode_head fails in a batch of only ignored pixels'
    assert try_losses(Segmentor(head)) == [note]


def test_losses_that_count_ignored_pixels_are_noted():
    note = 'DiceLoss of decode_head learns from ignored pixels, too, as from pixels of no class'
    assert try_losses(Segmentor(head_of([CE, DICE]))) == [note]


def test_heads_with_a_loss_of_their_own_are_left_alone():
    edges = {**head_of([SIGMOID, DICE], num_classes=2), 'type': 'STDCHead', 'num_convs': 1}
    assert try_losses(Segmentor(head_of(CE), {**edges, 'boundary_threshold': 0.1})) == []


def test_all_heads_of_a_sweep_are_tried():
    heads = {'type': 'SweepHead', 'head': head_of({**CE, 'class_weight': [1.0]}), 'number': 2}
    with pytest.raises(ValueError, match=r'CrossEntropyLoss of decode_head\.heads\.0 cannot be'):
        try_losses(Segmentor(heads))
