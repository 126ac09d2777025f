"""No run of a detector that has other classes than its data."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from poa_mm.engine.inner_model import inner_model

WITHOUT_CLASSES = ('backbone', 'rpn_head')  # an RPN head has one class, "object"


@HOOKS.register_module()
class ClassCheckHook(Hook):
    """Compares the classes of a detection run's data sets and heads before it starts.

    A head with too few classes ends training at the first label beyond them, one with too many at
    the first validation; a metric that reads another file than its data set counts other classes
    than were predicted. Registered with mmengine, so that configs of all scopes find it. Whether a
    data set's classes are those of its file is checked by
    :class:`~poa_mm.detection.coco.CheckedCocoDataset`.

    Raises:
        ValueError: Before training or testing, if data sets, heads or metrics differ in classes.
    """

    def before_train(self, runner: Runner) -> None:
        """Look at the data sets of training and validation."""
        classes = _classes(runner.train_dataloader.dataset)
        _check_heads(runner.model, classes)
        if runner.val_loop is None:
            return
        others = _classes(runner.val_dataloader.dataset)
        if others != classes:
            raise ValueError(
                f'training has the classes {classes}, validation {others}: set metainfo of both'
            )
        _check_metrics(runner.val_evaluator, classes)

    def before_val(self, runner: Runner) -> None:
        """Look at the data set of a validation."""
        _check_evaluation(runner, runner.val_dataloader, runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        """Look at the data set of a test."""
        _check_evaluation(runner, runner.test_dataloader, runner.test_evaluator)


def _check_evaluation(runner: Runner, loader: Any, evaluator: Any) -> None:
    classes = _classes(loader.dataset)
    _check_heads(runner.model, classes)
    _check_metrics(evaluator, classes)


def _classes(dataset: Any) -> list[str]:
    return list(dataset.metainfo['classes'])


def _check_heads(model: nn.Module, classes: list[str]) -> None:
    detector: Any = inner_model(model)
    counts = {
        name: module.num_classes
        for name, module in detector.named_modules()
        if isinstance(getattr(module, 'num_classes', None), int)
        and name.partition('.')[0] not in WITHOUT_CLASSES
    }
    wrong = {name: count for name, count in counts.items() if count != len(classes)}
    if wrong:
        found = ', '.join(f'{name} {count}' for name, count in wrong.items())
        raise ValueError(
            f'the data set has {len(classes)} classes, but num_classes is another in: {found}'
        )


def _check_metrics(evaluator: Any, classes: list[str]) -> None:
    """Metrics with an annotation file of their own; the others use the data set's."""
    for metric in evaluator.metrics:
        index = getattr(metric, '_coco_api', None)
        if index is None:
            continue
        names = [category['name'].strip() for category in index.dataset['categories']]
        wanted = [name.strip() for name in classes]
        if [name for name in names if name in wanted] != wanted:
            raise ValueError(
                f'the data set has the classes {classes}, ann_file of its CocoMetric {names}: '
                'set ann_file of val_evaluator or test_evaluator'
            )
