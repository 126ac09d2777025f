"""Compare the config of a checkpoint with that of the run which resumes from it."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from poa_mm.engine.config_check import RUN_SETTINGS

MISSING = 'not set'
SHOWN = 12  # differences, each a line
LONGEST = 80  # letters of a value
# Where a run writes and how it is started; ResumeHook settles rates, schedules, length and seed.
NO_MATTER = (
    *('work_dir', 'load_from', 'resume', 'launcher', 'experiment_name', 'log_level'),
    *('visualizer', 'env_cfg', 'param_scheduler', 'optim_wrapper.optimizer', 'train_cfg'),
    *('randomness', 'auto_scale_lr'),
)
# A supernet is one network for all of its training. These parts of it alone may change.
MAY_CHANGE = frozenset(
    {
        *('model.backbone.drop_path_rate', 'model.backbone.drop_path_uniform'),
        *('model.backbone.drop_rate', 'model.backbone.gamma', 'model.backbone.weighted'),
        *('model.backbone.with_cp', 'model.backbone.frozen_stages', 'model.backbone.init_cfg'),
        'model.head.prototype_init',
    }
)
NETWORK = ('model.type', 'model.backbone', 'model.head')


class Difference(NamedTuple):
    """A setting whose value has changed.

    Attributes:
        path: Where it stands in the config.
        old: Value in the checkpoint's config.
        new: Value now.
    """

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """Say what holds now."""
        return f'{self.path} is {_text(self.new)} in place of {_text(self.old)}'


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Compare the settings of two configs that influence a run.

    Args:
        old: Config of the checkpoint, as plain data.
        new: Config of the run.

    Returns:
        The settings that differ, as far as a resumed run reads them.
    """
    found = []
    for name in sorted(RUN_SETTINGS & {*old, *new}):
        for path, before, after in _compare(name, old.get(name), new.get(name)):
            if not _within(path, NO_MATTER):
                found.append(Difference(path, before, after))
    return found


def check_supernet(found: Sequence[Difference], name: str) -> None:
    """Check that family, search space and heads are those of the checkpoint.

    Raises:
        ValueError: Some of the differences are of that kind; the message lists them.
    """
    network = [
        str(part)
        for part in found
        if _within(part.path, NETWORK) and not _within(part.path, MAY_CHANGE)
    ]
    if network:
        raise ValueError(
            f'{name} is of another supernet, so it cannot be resumed: {"; ".join(network)}'
        )


def shown(found: Sequence[Difference]) -> Iterator[str]:
    """Describe the differences, one line each, as many as people read."""
    yield from map(str, found[:SHOWN])
    if len(found) > SHOWN:
        yield f'{len(found) - SHOWN} more settings differ, from {found[SHOWN].path} on'


def _text(value: Any) -> str:
    """Write a value for the terminal: whole sections of a config are shortened."""
    text = MISSING if value == MISSING else repr(value)
    return text if len(text) <= LONGEST else f'{text[: LONGEST - 1]}…'


def parse_config(text: str) -> dict[str, Any]:
    r"""Read a config that mmengine has written as text, without running it.

    Args:
        text: Assignments of literals and ``dict(…)``, as in a checkpoint's ``meta['cfg']``.

    Raises:
        ValueError: It says something else.

    Examples:
        >>> parse_config("lr = 0.1\nmodel = dict(type='POA', koleo_weight=0.1)")
        {'lr': 0.1, 'model': {'type': 'POA', 'koleo_weight': 0.1}}
    """
    try:
        return {
            target.id: _literal(node.value)
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
    except SyntaxError as error:
        raise ValueError(f'no text of a config: {error}') from error


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        return {str(keyword.arg): _literal(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {
            ast.literal_eval(key): _literal(value)
            for key, value in zip(node.keys, node.values, strict=True)
            if key is not None
        }
    return ast.literal_eval(node)


def _compare(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}, key=str):
            yield from _compare(f'{path}.{key}', old.get(key, MISSING), new.get(key, MISSING))
    elif _are_lists(old, new) and any(isinstance(item, Mapping) for item in (*old, *new)):
        if len(old) != len(new):
            yield path, _names(old), _names(new)
            return
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _compare(f'{path}.{index}', before, after)
    elif (list(old) != list(new)) if _are_lists(old, new) else (old != new):
        yield path, old, new


def _are_lists(old: Any, new: Any) -> bool:
    """Tell whether both are lists or tuples; files turn tuples into lists."""
    return isinstance(old, list | tuple) and isinstance(new, list | tuple)


def _names(items: Sequence[Any]) -> list[Any]:
    return [item.get('type', item) if isinstance(item, Mapping) else item for item in items]


def _within(path: str, places: Sequence[str] | frozenset[str]) -> bool:
    return any(path == place or path.startswith(f'{place}.') for place in places)
