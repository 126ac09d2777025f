"""Find out what a config's ``type`` accepts, and what a misspelled name was meant to be."""

import difflib
import inspect
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

LONGEST_LIST = 200  # characters of valid names that a message lists in full
MOST_ALIKE = 6  # names of a longer list that it shows
CLOSE = 0.75  # how alike (difflib's ratio) a misspelled name and the intended one are


def explain(error: TypeError | KeyError) -> str | None:
    """Name the class that does not exist, or the argument that a class does not take.

    Python names the function that refuses an argument: of a class that hands on ``**kwargs``, that
    is the constructor of one of its parents. mmengine says where it has looked for a class.

    Args:
        error: What was raised while a registry of mmengine built something.

    Returns:
        One line, with what was meant if that is clear; ``None`` if the error is about something
        else.
    """
    values = _last_built(error)
    if values is None:
        return None
    if isinstance(error, KeyError):
        return _unknown_name(values, str(error.args[0]))
    cls, text = values.get('obj_cls'), str(error)
    if not inspect.isclass(cls):
        return None
    known = accepted(cls)
    for name in values['args']:
        if name not in known and (f"'{name}'" in text or 'missing' in text):
            return f'{cls.__name__} has no argument {name!r}; {advice(name, known)}'
    return None


def _last_built(error: Exception) -> Mapping[str, Any] | None:
    """Return the local variables of the registry's function that raised the error."""
    from mmengine.registry import build_from_cfg

    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        if frame.f_code is build_from_cfg.__code__:
            return frame.f_locals
    return None


def _unknown_name(values: Mapping[str, Any], text: str) -> str | None:
    name, registry = values.get('obj_type'), values['registry']
    if not isinstance(name, str) or f'{name} is not in the' not in text:
        return None
    return unknown_class(name, registry)


def unknown_class(name: str, registry: Any) -> str:
    """Say that a registry has no class of that name, and suggest the one that may be meant.

    Args:
        name: What a config has as ``type``.
        registry: Registry of mmengine; its parents are looked through, too.
    """
    kind, scope = registry.name, registry.scope
    known: set[str] = set()
    while registry is not None:
        known |= set(registry.module_dict)
        registry = registry.parent
    near = nearest(name, known)
    return f'there is no {kind} {name!r}' + (
        f'; did you mean {near!r}?' if near else f' in the scope {scope}'
    )


def advice(name: str, known: Collection[str]) -> str:
    """Suggest what an unknown name was meant to be, if that is clear, and list what is valid.

    Of many known names, it lists those that are most alike.

    Args:
        name: What the user has written.
        known: The valid names.

    Examples:
        >>> advice('widht', ['width', 'depth'])
        "did you mean 'width'? Valid: depth, width"
    """
    near = nearest(name, known)
    meant = f'did you mean {near!r}? Valid' if near else 'valid'
    return f'{meant}: {_listed(name, sorted(known))}'


def _listed(name: str, known: list[str]) -> str:
    text = ', '.join(known)
    if len(text) <= LONGEST_LIST:
        return text
    matcher = difflib.SequenceMatcher(b=name)

    def likeness(other: str) -> float:
        matcher.set_seq1(other)
        return matcher.ratio()

    alike = sorted(known, key=likeness, reverse=True)[:MOST_ALIKE]
    return f'{", ".join(alike)} and {len(known) - MOST_ALIKE} more'


def nearest(name: str, known: Collection[str], cutoff: float = CLOSE) -> str | None:
    """Find the known name that is most like a misspelled one, if any is like it enough."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)), None)


def accepted(item: Callable) -> frozenset[str]:
    """List the keyword arguments of a class or function.

    A constructor with ``**kwargs`` is taken to hand them on to its parent class.
    """
    names: set[str] = set()
    for function in _constructors(item):
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # compiled code without a signature
            break
        names.update(
            p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        )
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return frozenset(names - {'self', 'cls'})


def _constructors(item: Callable) -> Iterator[Callable]:
    """Yield the constructor of a class and those of its parents, in the order of ``super()``."""
    if not inspect.isclass(item):
        yield item
        return
    for cls in inspect.getmro(item):
        if cls is not object and '__init__' in vars(cls):
            yield vars(cls)['__init__']
