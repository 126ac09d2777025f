"""Check that head, data sets and metrics of a classifier have the same classes."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from poa_mm.engine.inner_model import inner_model
from poa_mm.errors import printable

TRAINING, VALIDATION, TEST = 'the training data', 'the validation data', 'the test data'
TEACHER = 'the teacher'


@HOOKS.register_module()
class ClassifierCheckHook(Hook):
    """Checks that a classifier has the classes of its data, in their order.

    A head with too few classes would end training on a GPU assertion, one with too many would
    train without an error. Of validation data with other class folders the accuracy would mean
    nothing. ``model.head.num_classes`` is the one setting for their number: the data preprocessor,
    which mixes labels, takes it over, and a metric leaves out a top-k of more classes than there
    are. The hook is registered with mmengine, so that configs of all scopes find it.

    Raises:
        ValueError: Before a loop, if model and data or two data sets differ in classes, or a test
            is on other classes than the checkpoint was trained on.
    """

    def __init__(self) -> None:
        self._learned: Sequence[str] = ()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Record which classes the loaded model has learned."""
        meta = checkpoint.get('meta') or {}
        self._learned = list((meta.get('dataset_meta') or {}).get('classes') or ())

    def before_train(self, runner: Runner) -> None:
        """Check the classes of training and validation."""
        dataset = runner.train_dataloader.dataset
        self._check(runner, dataset, TRAINING)
        if runner.val_loop is not None:
            other = runner.val_dataloader.dataset
            _check_same(_classes(dataset), _classes(other), TRAINING, VALIDATION)
        taught = getattr(inner_model(runner.model), 'teacher_classes', ())
        _check_same(_classes(dataset), taught, TRAINING, TEACHER)

    def before_val(self, runner: Runner) -> None:
        """Check the classes of a validation, and its metrics."""
        self._check_evaluation(runner, runner.val_dataloader, runner.val_evaluator, VALIDATION)

    def before_test(self, runner: Runner) -> None:
        """Check the classes of a test, its metrics, and what the model has learned."""
        self._check_evaluation(runner, runner.test_dataloader, runner.test_evaluator, TEST)
        _check_learned(runner, self._learned, _classes(runner.test_dataloader.dataset))

    def _check_evaluation(
        self, runner: Runner, loader: DataLoader, evaluator: Evaluator, name: str
    ) -> None:
        num_classes = self._check(runner, loader.dataset, name)
        for metric in evaluator.metrics:
            topk = getattr(metric, 'topk', ())
            if num_classes and topk and max(topk) > num_classes:
                metric.topk = tuple(k for k in topk if k <= num_classes)
                runner.logger.info(f'top-{max(topk)} is left out: there are {num_classes} classes')

    def _check(self, runner: Runner, dataset: BaseDataset, name: str) -> int | None:
        """Check the classes of a data set; return the number of the model's."""
        model = inner_model(runner.model)
        num_classes = getattr(model.head, 'num_classes', None)
        if num_classes is None:  # a head of another kind
            return None
        _settle_preprocessor(model.data_preprocessor, num_classes)
        classes = _classes(dataset)
        if classes and len(classes) != num_classes:
            advice = f'set model.head.num_classes={len(classes)}'
            if name != TRAINING:
                advice = 'it needs the folders of all classes, or their names as metainfo.classes'
            raise ValueError(
                f'{name} has {len(classes)} classes ({_listed(classes)}), the model {num_classes}: '
                f'{advice}'
            )
        return num_classes


def _settle_preprocessor(preprocessor: Any, num_classes: int) -> None:
    """Tell the data preprocessor, which makes one-hot labels to be mixed, how long they are."""
    own = getattr(preprocessor, 'num_classes', num_classes)
    if own is None:
        preprocessor.num_classes = num_classes
    elif own != num_classes:
        raise ValueError(
            f'model.data_preprocessor.num_classes is {own}, model.head.num_classes {num_classes}: '
            'leave out the former'
        )


def _classes(dataset: BaseDataset) -> list[str]:
    return list((getattr(dataset, 'metainfo', None) or {}).get('classes') or ())


def _check_same(ours: Sequence[str], others: Sequence[str], name: str, other: str) -> None:
    if not ours or not others or list(ours) == list(others):
        return
    place, pair = next(
        (place, pair) for place, pair in enumerate(zip_longest(ours, others)) if pair[0] != pair[1]
    )
    raise ValueError(
        f'{name} has {len(ours)} classes and {other} {len(others)}; class {place} is {pair[0]!r} '
        f'in the one and {pair[1]!r} in the other: both need the same class folders'
    )


def _check_learned(runner: Runner, learned: Sequence[str], classes: Sequence[str]) -> None:
    """Check the order of the classes that a checkpoint has learned; other names may be synonyms."""
    if set(learned) == set(classes):
        _check_same(learned, classes, 'the checkpoint', TEST)
    elif learned and classes:
        runner.logger.warning(
            f'the checkpoint has learned the classes {_listed(learned)}, {TEST} has '
            f'{_listed(classes)}: the accuracy takes them for the same ones, in this order'
        )


def _listed(names: Sequence[str]) -> str:
    shown = ', '.join(printable(name) for name in names[:3])
    return f'{shown}, …' if len(names) > 3 else shown
