"""Run code when a module of another package is imported.

Fixing a package must not import it: a tool that only prints its help needs none of them.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ['after_import', 'around_import']

Context = Callable[[], AbstractContextManager[None]]
_contexts: dict[str, list[Context]] = defaultdict(list)


def after_import(name: str, action: Callable[[], None]) -> None:
    """Call ``action`` as soon as the module ``name`` has been imported; now, if it has been.

    Args:
        name: Full name of the module.
        action: It finds the module, complete, in ``sys.modules``, though not yet as an attribute of
            its parent, and not the modules that import it.
    """
    if name in sys.modules:
        action()

    @contextmanager
    def then_act() -> Iterator[None]:
        yield
        action()

    around_import(name, then_act)


def around_import(name: str, context: Context) -> None:
    """Have the code of the module ``name`` run within a context whenever it is imported.

    Args:
        name: Full name of the module.
        context: Makes the context.
    """
    _contexts[name].append(context)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Asks the other finders, and wraps the code of modules that have a context."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in _contexts:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            _wrap(spec.loader, fullname)
        return spec


def _wrap(loader: object, name: str) -> None:
    """Change this one loader: the module's, and made for this import."""
    execute = loader.exec_module  # type: ignore[attr-defined] # not of importlib's oldest kind

    def exec_module(module: ModuleType) -> None:
        with ExitStack() as stack:
            for context in _contexts[name]:
                stack.enter_context(context())
            execute(module)

    loader.exec_module = exec_module  # type: ignore[attr-defined]
