"""Check that data sets, heads and metrics of a detection run have the same classes.

COCO numbers classes by their order. Where that order is checked:

- in a config against the annotation file: ``check_classes`` in :mod:`poa_mm.detection.coco.api`,
  which ``CheckedCocoDataset`` and ``CheckedCocoMetric`` call when they are built;
- between training, validation, heads and metrics: here, before the first step.
"""

from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from poa_mm.engine.inner_model import inner_model

WITHOUT_CLASSES = ('backbone', 'rpn_head')  # an RPN head has one class, "object"


@HOOKS.register_module()
class ClassCheckHook(Hook):
    """Checks that data sets, heads and metrics of a detection run have the same order of classes.

    A head with too few classes would end training at the first label beyond them, one with too many
    the first validation. A metric with another file than its data set would count other classes
    than were predicted. The hook is registered with mmengine, so that configs of all scopes find
    it.

    Raises:
        ValueError: Before training or testing, if data sets, heads or metrics differ in classes.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the classes of training and validation, of heads and metrics."""
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
        """Check the classes of a validation."""
        _check_evaluation(runner, runner.val_dataloader, runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        """Check the classes of a test."""
        _check_evaluation(runner, runner.test_dataloader, runner.test_evaluator)


def _check_evaluation(runner: Runner, loader: DataLoader, evaluator: Evaluator) -> None:
    classes = _classes(loader.dataset)
    _check_heads(runner.model, classes)
    _check_metrics(evaluator, classes)


def _classes(dataset: BaseDataset) -> list[str]:
    return list(dataset.metainfo['classes'])


def _check_heads(model: nn.Module, classes: list[str]) -> None:
    detector = inner_model(model)
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
            f'the data set has {len(classes)} classes, but num_classes differs in: {found}'
        )


def _check_metrics(evaluator: Evaluator, classes: list[str]) -> None:
    """Check the order of classes in metrics with a file of their own; others use the data set's."""
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
