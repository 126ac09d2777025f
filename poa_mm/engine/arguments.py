"""Which arguments the class or function behind a ``type`` in a config takes."""

import difflib
import inspect
import traceback
from collections.abc import Callable, Collection, Iterator

from mmengine.registry import build_from_cfg

CLOSE = 0.75  # how alike (difflib's ratio) a misspelled name and the intended one are


def explain(error: TypeError) -> str | None:
    """Say which class of a config does not take which argument, and what it takes.

    Python names the function that refuses an argument: of a class that hands on ``**kwargs``, that
    is the constructor of one of its parents.

    Args:
        error: What was raised while a registry built a class.

    Returns:
        One line, or ``None`` if the error is about something else.
    """
    built = _last_built(error)
    if built is None:
        return None
    cls, arguments = built
    known = accepted(cls)
    text = str(error)
    for name in arguments:
        if name not in known and (f"'{name}'" in text or 'missing' in text):
            return f'{cls.__name__} has no argument {name!r}; {advice(name, known)}'
    return None


def _last_built(error: TypeError) -> tuple[Callable, list[str]] | None:
    """What a registry was building when the error came up, and the names of its arguments."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        values = frame.f_locals
        if frame.f_code is build_from_cfg.__code__ and inspect.isclass(values.get('obj_cls')):
            return values['obj_cls'], list(values['args'])
    return None


def advice(name: str, known: Collection[str]) -> str:
    """What was meant by a name that is not among the known ones, if that is clear, and all of them.

    Args:
        name: What the user has written.
        known: The valid names.
    """
    near = nearest(name, known)
    meant = f'did you mean {near!r}? Valid' if near else 'valid'
    return f'{meant}: {", ".join(sorted(known))}'


def nearest(name: str, known: Collection[str], cutoff: float = CLOSE) -> str | None:
    """The known name that resembles a misspelled one the most, if any resembles it enough."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)), None)


def accepted(item: Callable) -> frozenset[str]:
    """Names of the keyword arguments of a class or function.

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
    """The constructor of a class and those of its parents, in the order of ``super()``."""
    if not inspect.isclass(item):
        yield item
        return
    for cls in inspect.getmro(item):
        if cls is not object and '__init__' in vars(cls):
            yield vars(cls)['__init__']
