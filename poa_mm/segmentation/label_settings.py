"""Check that heads, metrics, pipelines and data sets agree on classes and ignored label."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mmengine.evaluator import BaseMetric
from torch import nn

from poa_mm.datasets.nested import Transform

if TYPE_CHECKING:
    from mmseg.models import EncoderDecoder
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead

# Learns edges, in two classes, whatever the classes of the masks are.
HEADS_WITH_CLASSES_OF_THEIR_OWN = ('STDCHead',)
MOST_NAMES = 5  # in a message


def heads_of(segmentor: nn.Module) -> dict[str, 'BaseDecodeHead']:
    """Return all modules with a number of classes in the heads of a segmentor, by name."""
    return {
        name: module
        for name, module in segmentor.named_modules()
        if name.partition('.')[0] in ('decode_head', 'auxiliary_head')
        and isinstance(getattr(module, 'num_classes', None), int)
        and type(module).__name__ not in HEADS_WITH_CLASSES_OF_THEIR_OWN
    }


def main_head(segmentor: 'EncoderDecoder') -> 'BaseDecodeHead':
    """Return the head that predicts: the last one of a cascade."""
    head = segmentor.decode_head
    return head[-1] if isinstance(head, nn.ModuleList) else head


def check_classes(
    segmentor: 'EncoderDecoder', metainfo: Mapping, name: str, metrics: Sequence[BaseMetric]
) -> list[str]:
    """Check that a data set has the classes of all heads.

    Args:
        segmentor: A segmentor with a ``decode_head`` and optionally an ``auxiliary_head``.
        metainfo: ``metainfo`` of the data set.
        name: Name of the data set in a sentence.
        metrics: Metrics that take the classes from the data set.

    Returns:
        Names of the classes; numbers, if the data set has none.

    Raises:
        ValueError: The classes are not a list of several names, or another number than that of a
            head; or the palette has no colours.
    """
    classes = metainfo.get('classes')
    if classes is None:
        if metrics:
            raise ValueError(f'{name} has no classes to measure: set metainfo.classes')
        classes = [str(index) for index in range(main_head(segmentor).num_classes)]
    if isinstance(classes, str):
        raise ValueError(f'classes of {name} must be a tuple of names, got {classes!r}')
    counts = {part: head.num_classes for part, head in heads_of(segmentor).items()}
    wrong = {part: count for part, count in counts.items() if count != len(classes)}
    if wrong:
        same = len(wrong) == len(counts) and len(set(wrong.values())) == 1
        found = f'the model {next(iter(wrong.values()))}' if same else _listed(wrong)
        raise ValueError(
            f'the data set has {len(classes)} classes, {found}: set num_classes of decode_head and '
            'auxiliary_head, or the metainfo of the data set'
        )
    if len(classes) == 1:
        raise ValueError(
            f'{name} has one class, {classes[0]!r}, which leaves nothing to tell apart: name what '
            "is not one, too, as classes=('background', …), with 0 and 1 in the masks"
        )
    _check_palette(metainfo.get('palette') or [], name)
    return list(classes)


def check_same_classes(training: Mapping, validation: Mapping) -> None:
    """Check that validation has the classes of training.

    Args:
        training: ``metainfo`` of the training data set.
        validation: ``metainfo`` of the validation data set.

    Raises:
        ValueError: A number means two classes; the message names them.
    """
    note = other_classes(training.get('classes'), validation)
    if note:
        raise ValueError(note)


def other_classes(learned: Sequence[str] | None, metainfo: Mapping) -> str | None:
    """Return how the classes of a data set differ from those that were learned, if they do.

    :func:`check_classes` checks their number.
    """
    classes = metainfo.get('classes')
    if learned is None or classes is None or len(learned) != len(classes):
        return None
    pairs = enumerate(zip(learned, classes, strict=True))
    different = [(index, *names) for index, names in pairs if names[0] != names[1]]
    if not different:
        return None
    index, old, new = different[0]
    return (
        f'{len(different)} of {len(classes)} classes were learned under another name than they are '
        f'measured under: class {index} is {old!r} in training, {new!r} here'
    )


def _check_palette(palette: Iterable[Iterable[int] | int], name: str) -> None:
    for colour in palette:
        values = list(colour) if isinstance(colour, Iterable) else [colour]
        if len(values) != 3 or not all(0 <= value <= 255 for value in values):
            raise ValueError(
                f'palette of {name} must hold three numbers from 0 to 255 for each class, got '
                f'{colour}'
            )


def check_channels(segmentor: nn.Module) -> None:
    """Check that heads of one channel have two classes and a usable threshold.

    Raises:
        ValueError: A head of one channel has another number than two classes, or a threshold
            outside (0, 1).
    """
    for name, head in heads_of(segmentor).items():
        if not hasattr(head, 'threshold') or getattr(head, 'out_channels', None) != 1:
            continue
        if head.num_classes != 2:
            raise ValueError(
                f'{name} has out_channels=1 for {head.num_classes} classes: one channel tells two '
                'apart'
            )
        if not 0 < head.threshold < 1:
            raise ValueError(
                f'threshold of {name} is a probability between 0 and 1, got {head.threshold}'
            )


def check_ignored(
    segmentor: 'EncoderDecoder', metrics: Sequence[BaseMetric], transforms: Iterable[Transform]
) -> int | None:
    """Check that all parts ignore the same label as the head that predicts.

    Args:
        segmentor: A segmentor with a ``decode_head`` and optionally an ``auxiliary_head``.
        metrics: Metrics of its predictions.
        transforms: Transforms of all pipelines of the data set.

    Returns:
        The ignored label, or None if there is none.

    Raises:
        ValueError: Heads, losses, metrics or transforms ignore another one.
    """
    ignored = getattr(main_head(segmentor), 'ignore_index', None)
    others = {
        **_ignored_by_heads(segmentor),
        **_ignored_by_metrics(metrics),
        **_filled_in_by(transforms),
    }
    wrong = {name: label for name, label in others.items() if label != ignored}
    if ignored is not None and wrong:
        raise ValueError(
            f'decode_head ignores the label {ignored} (ignore_index), but it is another in '
            f'{_listed(wrong)}: set all of them to one'
        )
    return ignored


def _ignored_by_heads(segmentor: nn.Module) -> dict[str, int]:
    labels = {}
    for name, module in segmentor.named_modules():
        if name.partition('.')[0] in ('decode_head', 'auxiliary_head'):
            for option in ('ignore_index', 'ignore_label'):
                label = getattr(module, option, None)
                if isinstance(label, int):
                    kind = '' if hasattr(module, 'num_classes') else f' ({type(module).__name__})'
                    labels[f'{name}{kind}'] = label
    return labels


def _ignored_by_metrics(metrics: Sequence[BaseMetric]) -> dict[str, int]:
    return {
        type(metric).__name__: metric.ignore_index
        for metric in metrics
        if hasattr(metric, 'ignore_index') and not getattr(metric, 'format_only', False)
    }


def _filled_in_by(transforms: Iterable[Transform]) -> dict[str, int]:
    """Return the labels with which transforms pad masks, or that they leave out of counts."""
    labels = {}
    for transform in transforms:
        kind = type(transform).__name__
        if hasattr(transform, 'seg_pad_val'):
            labels[f'seg_pad_val of {kind}'] = transform.seg_pad_val
        padding = getattr(transform, 'pad_val', None)
        if isinstance(padding, dict) and 'seg' in padding:
            labels[f'pad_val of {kind}'] = padding['seg']
        if hasattr(transform, 'ignore_index') and getattr(transform, 'cat_max_ratio', 0) < 1:
            labels[kind] = transform.ignore_index
    return labels


def _listed(values: Mapping[str, object]) -> str:
    texts = [f'{name} {value}' for name, value in values.items()]
    more = [f'{len(texts) - MOST_NAMES} more'] if len(texts) > MOST_NAMES else []
    return ', '.join([*texts[:MOST_NAMES], *more])


def fill_padding(segmentor: 'EncoderDecoder', ignored: int | None) -> Iterator[str]:
    """Set the padding of a batch to the ignored label; yield what has been changed."""
    preprocessor = segmentor.data_preprocessor
    label = getattr(preprocessor, 'seg_pad_val', ignored)
    if ignored is not None and label != ignored:
        preprocessor.seg_pad_val = ignored
        yield (
            f'batches are padded with the ignored label {ignored}, not with seg_pad_val={label} of '
            'data_preprocessor'
        )
