"""All mutants of a source file, in the order of its text: the same in every run.

A mutant is one change (`tests.mutation.operators`) at one place. Its id is made of what is changed
(file, function, statement, change), not of where it stands, so that it stays the same when lines
move; a statement that changes makes new mutants.
"""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Any

from tests.mutation import operators
from tests.mutation.targets import CHECKOUT

ID_CHARACTERS = 10
_UNTOUCHED = {"annotation", "returns", "decorator_list", "bases"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change.

    path: of the source, below the checkout. index: number among all mutants of the file.
    scope: qualified name of the function or class, "" for the module itself.
    function: qualified name of the outermost function, "" where the change is outside of any.
    line: on which the statement begins.
    statement, before, after: source text of the statement, what is changed, and into what.
    """

    id: str
    path: str
    index: int
    scope: str
    function: str
    line: int
    statement: str
    before: str
    after: str

    def code(self) -> CodeType:
        """The whole module with the change, compiled."""
        tree = tree_of(self.path)
        for index, site in enumerate(_Finder().sites(tree)):
            if index == self.index:
                site.put()
                break
        return compile(ast.fix_missing_locations(tree), CHECKOUT / self.path, "exec")


@dataclass(frozen=True, slots=True)
class _Site:
    """One change of a tree: `new` instead of `old`, which is `holder.name` or an item of it."""

    holder: Any
    name: str
    position: int | None
    old: ast.AST
    new: ast.AST
    statement: ast.stmt
    scope: tuple[str, ...]
    function: tuple[str, ...]

    def put(self) -> None:
        ast.copy_location(self.new, self.old)
        if self.position is None:
            setattr(self.holder, self.name, self.new)
        else:
            getattr(self.holder, self.name)[self.position] = self.new


def module_name(path: str) -> str:
    """The name of the module in a source file below the checkout."""
    return path.removesuffix(".py").replace("/", ".")


def mutants_of(path: str) -> list[Mutant]:
    """All mutants of a source file below the checkout."""
    tree = tree_of(path)
    seen: Counter[tuple[str, ...]] = Counter()
    found = []
    for index, site in enumerate(_Finder().sites(tree)):
        texts = (_head(site.statement), ast.unparse(site.old), ast.unparse(site.new))
        scope = ".".join(site.scope)
        key = (path, scope, *texts)
        seen[key] += 1
        digest = hashlib.sha256("\0".join((*key, str(seen[key]))).encode()).hexdigest()
        name = digest[:ID_CHARACTERS]
        function = ".".join(site.function)
        found.append(Mutant(name, path, index, scope, function, site.statement.lineno, *texts))
    return found


def tree_of(path: str) -> ast.Module:
    """The syntax tree of a source file, anew."""
    return ast.parse(_source(path))


@cache
def _source(path: str) -> str:
    return (CHECKOUT / path).read_text(encoding="utf-8")


def _head(statement: ast.stmt) -> str:
    """A statement in one line, without its body and its decorators."""
    lines = ast.unparse(statement).splitlines()
    return next(line for line in lines if not line.startswith("@"))


class _Finder:
    """Walks a tree; knows in which statement and function it is."""

    def __init__(self) -> None:
        self._scope: tuple[str, ...] = ()
        self._outermost: tuple[str, ...] = ()
        self._function: ast.FunctionDef | None = None

    def sites(self, tree: ast.Module) -> Iterator[_Site]:
        for statement in tree.body:
            yield from self._statement(tree, "body", tree.body.index(statement), statement)

    def _statement(
        self, holder: ast.AST, name: str, position: int, statement: ast.stmt
    ) -> Iterator[_Site]:
        for new in operators.statements(statement, self._function):
            yield self._site((holder, name, position), statement, new, statement)
        if isinstance(statement, ast.If | ast.While):
            for test in operators.condition(statement.test):
                yield self._site((statement, "test", None), statement.test, test, statement)
        if isinstance(statement, ast.FunctionDef):
            yield from self._children(statement.args, statement)
            yield from self._inside(statement, statement)
        elif isinstance(statement, ast.ClassDef):
            yield from self._inside(statement, None)
        else:
            yield from self._children(statement, statement)

    def _inside(
        self, statement: ast.FunctionDef | ast.ClassDef, function: ast.FunctionDef | None
    ) -> Iterator[_Site]:
        before = self._scope, self._outermost, self._function
        self._scope += (statement.name,)
        self._function = function
        if function and not self._outermost:
            self._outermost = self._scope
        for position, child in enumerate(statement.body):
            yield from self._statement(statement, "body", position, child)
        self._scope, self._outermost, self._function = before

    def _children(self, node: ast.AST, statement: ast.stmt) -> Iterator[_Site]:
        for name, value in ast.iter_fields(node):
            if name in _UNTOUCHED:
                continue
            if isinstance(value, list):
                for position, child in enumerate(value):
                    yield from self._child((node, name, position), child, statement)
            else:
                yield from self._child((node, name, None), value, statement)

    def _child(
        self, place: tuple[ast.AST, str, int | None], child: Any, statement: ast.stmt
    ) -> Iterator[_Site]:
        holder, name, position = place
        if isinstance(child, ast.stmt):
            assert position is not None
            yield from self._statement(holder, name, position, child)
        elif isinstance(child, ast.AST) and not operators.is_for_people(child):
            yield from self._here(place, child, statement)
            if not _is_type_argument(holder, name, position):
                yield from self._children(child, statement)

    def _here(
        self, place: tuple[ast.AST, str, int | None], node: ast.AST, statement: ast.stmt
    ) -> Iterator[_Site]:
        is_type = _is_type_argument(*place) or (not self._function and _is_union(node))
        if isinstance(node, ast.expr) and not is_type:
            for new in operators.expressions(node):
                yield self._site(place, node, new, statement)
        if isinstance(node, ast.comprehension):
            for position, test in enumerate(node.ifs):
                for new in operators.condition(test):
                    yield self._site((node, "ifs", position), test, new, statement)
        if isinstance(node, ast.ExceptHandler) and node.type:
            for new in operators.caught(node):
                yield self._site((node, "type", None), node.type, new, statement)

    def _site(
        self,
        place: tuple[ast.AST, str, int | None],
        old: ast.AST,
        new: ast.AST,
        statement: ast.stmt,
    ) -> _Site:
        return _Site(*place, old, new, statement, self._scope, self._outermost)


def _is_union(node: ast.AST) -> bool:
    """Whether this may be a type such as `int | None`, which modules name outside of functions."""
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)


def _is_type_argument(holder: ast.AST, name: str, position: int | None) -> bool:
    """Whether this is the types of an isinstance: `A | B` is no arithmetic."""
    return (
        isinstance(holder, ast.Call)
        and isinstance(holder.func, ast.Name)
        and holder.func.id == "isinstance"
        and name == "args"
        and position == 1
    )
