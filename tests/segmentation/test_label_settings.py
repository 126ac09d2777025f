"""What must agree on classes and the ignored label is compared."""

import pytest
from mmcv.transforms import Pad
from mmseg.datasets.transforms import RandomCrop, RandomRotate
from mmseg.evaluation import IoUMetric
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from torch import nn

import poa_mm.segmentation.mmseg_modules  # noqa: F401  # SweepHead
from poa_mm.segmentation import label_settings
from poa_mm.segmentation.head_iou import HeadIoUMetric

CLASSES = ('ground', 'left', 'right')
NAME = 'the data set'
HEAD = {
    'type': 'FCNHead',
    'in_channels': 4,
    'channels': 4,
    'num_convs': 0,
    'concat_input': False,
    'num_classes': 3,
}


def build(head):
    return MODELS.build({**HEAD, '_scope_': 'mmseg', **head})


class Segmentor(nn.Module):
    """What is asked of a segmentor."""

    def __init__(self, decode_head, *auxiliary):
        super().__init__()
        several = isinstance(decode_head, list)
        heads = [build(head) for head in (decode_head if several else [decode_head])]
        self.decode_head = nn.ModuleList(heads) if several else heads[0]
        auxiliary_heads = nn.ModuleList(build(head) for head in auxiliary)
        self.auxiliary_head = auxiliary_heads[0] if len(auxiliary) == 1 else auxiliary_heads
        self.data_preprocessor = SegDataPreProcessor(size=(8, 8))


def sweep(**head):
    return {'type': 'SweepHead', 'head': {**HEAD, **head}, 'number': 2}


def sweep_segmentor(**head):
    segmentor = Segmentor({})
    segmentor.decode_head = MODELS.build({**sweep(**head), '_scope_': 'mmseg'})
    return segmentor


def classes_of(segmentor, classes=CLASSES, metrics=(), **metainfo):
    metainfo = {'classes': classes, **metainfo}
    return label_settings.check_classes(segmentor, metainfo, NAME, metrics)


@pytest.mark.parametrize(
    'segmentor',
    [
        lambda: Segmentor({}),
        lambda: Segmentor({}, {}),
        lambda: Segmentor({}, {}, {}),
        lambda: Segmentor([{}, {}]),
        lambda: Segmentor({}, {'type': 'STDCHead', 'num_classes': 2, 'num_convs': 1}),
        sweep_segmentor,
    ],
)
def test_what_agrees_goes_through(segmentor):
    segmentor = segmentor()
    assert classes_of(segmentor) == list(CLASSES)
    label_settings.check_channels(segmentor)
    assert label_settings.check_ignored(segmentor, [IoUMetric()], [RandomRotate(1.0, 5)]) == 255
    assert list(label_settings.fill_padding(segmentor, 255)) == []


@pytest.mark.parametrize(
    ('segmentor', 'found'),
    [
        (lambda: Segmentor({'num_classes': 4}), 'the model 4'),
        (lambda: Segmentor({'num_classes': 4}, {'num_classes': 4}), 'the model 4'),
        (lambda: Segmentor({}, {'num_classes': 2}), 'auxiliary_head 2'),
        (lambda: Segmentor({}, {}, {'num_classes': 5}), r'auxiliary_head\.1 5'),
        (lambda: Segmentor({'num_classes': 4}, {}), 'decode_head 4'),
        (lambda: Segmentor([{'num_classes': 4}, {}]), r'decode_head\.0 4'),
        (lambda: sweep_segmentor(num_classes=4), 'the model 4'),
    ],
)
def test_another_number_of_classes_is_named_with_its_head(segmentor, found):
    message = f'the data set has 3 classes, {found}: set num_classes of'
    with pytest.raises(ValueError, match=message):
        classes_of(segmentor())


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        ('sky', "classes of the data set must be a tuple of names, got 'sky'"),
        (('sky',), "the data set has one class, 'sky', which leaves nothing to tell apart"),
    ],
)
def test_names_that_are_no_classes(classes, message):
    with pytest.raises(ValueError, match=message):
        classes_of(Segmentor({'num_classes': len(classes)}), classes)


def test_classes_without_names_can_be_learned_but_not_measured():
    assert classes_of(Segmentor({}), None) == ['0', '1', '2']
    with pytest.raises(ValueError, match='the data set has no classes to measure: set metainfo'):
        classes_of(Segmentor({}), None, [IoUMetric()])
    with pytest.raises(ValueError, match='the data set has 3 classes, auxiliary_head 2'):
        classes_of(Segmentor({}, {'num_classes': 2}), None)


@pytest.mark.parametrize('palette', [[1, 2, 3], [[0, 0], [1, 1], [2, 2]], [[0, 0, 256]] * 3])
def test_palettes_without_colours(palette):
    with pytest.raises(ValueError, match='palette of the data set must hold three numbers from 0'):
        classes_of(Segmentor({}), palette=palette)
    classes_of(Segmentor({}), palette=[[0, 0, 255]] * 3)


def test_classes_of_training_and_validation_in_another_order():
    label_settings.check_same_classes({'classes': CLASSES}, {'classes': list(CLASSES)})
    label_settings.check_same_classes({'classes': CLASSES}, {})
    message = "2 of 3 classes .* class 1 is 'left' in training, 'right' here"
    with pytest.raises(ValueError, match=message):
        label_settings.check_same_classes(
            {'classes': CLASSES}, {'classes': ('ground', 'right', 'left')}
        )


@pytest.mark.parametrize(
    ('head', 'message'),
    [
        ({'out_channels': 1, 'threshold': 0.5}, 'out_channels=1 for 3 classes: one channel tells'),
        ({'num_classes': 2, 'out_channels': 1, 'threshold': 1.0}, 'between 0 and 1, got 1.0'),
        ({'num_classes': 2, 'out_channels': 1, 'threshold': 0.0}, 'between 0 and 1, got 0.0'),
    ],
)
def test_one_channel_for_what_it_cannot_tell(head, message):
    loss = {'type': 'CrossEntropyLoss', 'use_sigmoid': True}
    with pytest.raises(ValueError, match=f'decode_head .*{message}|decode_head is .*{message}'):
        label_settings.check_channels(Segmentor({**head, 'loss_decode': loss}))
    good = {**head, 'num_classes': 2, 'threshold': 0.3, 'loss_decode': loss}
    label_settings.check_channels(Segmentor(good))


ZERO = {'ignore_index': 0}
ODD_DICE = {'loss_decode': [{'type': 'CrossEntropyLoss'}, {'type': 'DiceLoss', **ZERO}]}


@pytest.mark.parametrize(
    ('segmentor', 'metrics', 'transforms', 'found'),
    [
        (lambda: Segmentor(ZERO), [IoUMetric()], [], 'label 0 .* another in IoUMetric 255: set'),
        (lambda: Segmentor({}), [IoUMetric(ignore_index=0)], [], 'label 255 .* IoUMetric 0'),
        (lambda: sweep_segmentor(**ZERO), [HeadIoUMetric(head=0)], [], 'HeadIoUMetric 255'),
        (lambda: Segmentor({}, ZERO), [], [], 'auxiliary_head 0'),
        (lambda: Segmentor({}, {}, ZERO), [], [], r'auxiliary_head\.1 0'),
        (lambda: Segmentor([ZERO, {}]), [], [], r'decode_head\.0 0'),
        (lambda: Segmentor(ODD_DICE), [], [], r'decode_head\.loss_decode\.1 \(DiceLoss\) 0'),
        (lambda: Segmentor(ZERO), [], [RandomRotate(1.0, 5)], 'seg_pad_val of RandomRotate 255'),
        (lambda: Segmentor(ZERO), [], [Pad(size=(8, 8))], 'pad_val of Pad 255'),
        (lambda: Segmentor(ZERO), [], [RandomCrop((8, 8), 0.75)], 'RandomCrop 255'),
    ],
)
def test_another_ignored_label_is_named_with_its_place(segmentor, metrics, transforms, found):
    with pytest.raises(ValueError, match=f'decode_head ignores the {found}|{found}'):
        label_settings.check_ignored(segmentor(), metrics, transforms)


@pytest.mark.parametrize(
    ('metrics', 'transforms'),
    [
        ([IoUMetric(ignore_index=0)], []),
        ([IoUMetric(format_only=True, output_dir=None)], []),  # compares with no mask
        ([], [RandomCrop((8, 8))]),  # does not count labels
        ([], [RandomRotate(1.0, 5, seg_pad_val=0)]),
    ],
)
def test_what_has_no_part_in_it_may_say_otherwise(metrics, transforms):
    assert label_settings.check_ignored(Segmentor(ZERO, ZERO), metrics, transforms) == 0


def test_batches_are_padded_with_the_ignored_label():
    segmentor = Segmentor(ZERO)
    assert list(label_settings.fill_padding(segmentor, 0)) == [
        'batches are padded with the ignored label 0, not with seg_pad_val=255 of data_preprocessor'
    ]
    assert segmentor.data_preprocessor.seg_pad_val == 0
    assert list(label_settings.fill_padding(segmentor, 0)) == []
