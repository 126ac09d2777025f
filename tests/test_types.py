"""What signatures say of supernets; ``typed_use.py`` states what follows from that."""

import ast

from helpers import ROOT

SUPERNETS = {'supernet', 'backbone', 'teacher', 'student'}


def test_no_supernet_is_of_any_type():
    untyped = [
        f'{path.relative_to(ROOT)}: {function.name}({argument.arg}: Any)'
        for folder in ('poa_mm', 'tools')
        for path in sorted((ROOT / folder).rglob('*.py'))
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for argument in (*function.args.args, *function.args.kwonlyargs)
        if argument.arg in SUPERNETS
        and argument.annotation is not None
        and ast.unparse(argument.annotation) == 'Any'
    ]
    assert untyped == []
