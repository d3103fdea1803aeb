"""Imports a module of the product from other code than its file's."""

import ast
import builtins
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType

from tests.mutation.mutants import module_name, tree_of
from tests.mutation.targets import CHECKOUT

_PROBE = "__bulkhead_mutation_executed__"


def import_from(path: str, code: Callable[[], CodeType]) -> None:
    """From now on, in this process, a target's module is imported from this code."""
    sys.meta_path.insert(0, _Finder(path, code))


def probed(path: str) -> CodeType:
    """The code of a target in which every statement of a function first calls the probe."""
    tree = tree_of(path)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                _probe_bodies(node, path)
    return compile(ast.fix_missing_locations(tree), CHECKOUT / path, "exec")


def set_probe(executed: Callable[[str, int], None]) -> None:
    """What probes call: with the path of the target and the first line of the statement."""
    setattr(builtins, _PROBE, executed)


def _probe_bodies(node: ast.AST, path: str) -> None:
    for name in ("body", "orelse", "finalbody"):
        body = getattr(node, name, None)
        if isinstance(body, list) and not any(map(_is_probe, body)):
            statements = [(_call(path, statement), statement) for statement in body]
            setattr(node, name, [one for pair in statements for one in pair])


def _call(path: str, statement: ast.stmt) -> ast.Expr:
    arguments: list[ast.expr] = [ast.Constant(path), ast.Constant(statement.lineno)]
    call = ast.Expr(ast.Call(ast.Name(_PROBE, ast.Load()), arguments, []))
    return ast.copy_location(call, statement)


def _is_probe(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and _PROBE in ast.unparse(node)


class _Finder(SourceFileLoader):
    """Finds and loads one module; others are not its business."""

    def __init__(self, path: str, code: Callable[[], CodeType]) -> None:
        super().__init__(module_name(path), str(CHECKOUT / path))
        self._code = code

    def find_spec(self, name: str, *_unused: object) -> ModuleSpec | None:
        if name != self.name:
            return None
        return spec_from_file_location(name, self.path, loader=self)

    def get_code(self, fullname: str) -> CodeType:
        assert fullname == self.name
        return self._code()
