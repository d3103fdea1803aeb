"""The changes that make mutants: for one node of a syntax tree, what could stand there instead.

    comparison     < and <=, > and >=, == and !=, `is` and `is not`, `in` and `not in`
    condition      of if, while, conditional expression and comprehension: negated
    and, or        exchanged; each operand left out
    not, -, ~      left out
    arithmetic     + and -, * and //, << and >>, & and |, % becomes //
    number         one more, one less; True and False
    call           any and all, min and max, startswith and endswith
    slice          without its lower or upper bound
    return         of a bool: negated; of anything else: None
    statement      a call, raise, yield, augmented assignment, assignment to an attribute or an
                   item, break or continue left out
    except         one of several exceptions not caught
    reason code    another one

What people read is left alone: text and bytes, and what chooses between texts.
"""

import ast
from collections.abc import Iterator
from copy import copy

_COMPLEMENTS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    **_COMPLEMENTS,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_CALLS = {
    "any": "all",
    "all": "any",
    "min": "max",
    "max": "min",
    "startswith": "endswith",
    "endswith": "startswith",
}
_USUAL_REASON, _OTHER_REASON = "BLANK_VALUE", "DUPLICATE_ID"


def expressions(node: ast.expr) -> Iterator[ast.expr]:
    """What could stand in place of an expression."""
    match node:
        case ast.Compare():
            yield from _compare(node)
        case ast.BoolOp():
            yield from _bool_op(node)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int(number)):
            yield from (ast.Constant(number + 1), ast.Constant(number - 1))
        case _:
            yield from _others(node)


def is_for_people(node: ast.AST) -> bool:
    """Whether a part of a program makes text, or chooses between texts."""
    match node:
        case ast.BoolOp():
            return any(map(is_for_people, node.values))
        case ast.IfExp():
            return is_for_people(node.body) or is_for_people(node.orelse)
        case ast.Constant():
            return isinstance(node.value, str)
    return isinstance(node, ast.JoinedStr)


def condition(test: ast.expr) -> Iterator[ast.expr]:
    """A condition negated, unless another change does the same."""
    match test:
        case ast.UnaryOp(op=ast.Not()):
            return
        case ast.Compare(ops=[single]) if type(single) in _COMPLEMENTS:
            return
    yield ast.UnaryOp(ast.Not(), test)


def statements(node: ast.stmt, function: ast.FunctionDef | None) -> Iterator[ast.stmt]:
    """What could stand in place of a statement of a function."""
    if function is None:
        return
    match node:
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) if not _is_super(node):
            yield ast.Pass()
        case ast.Raise() | ast.AugAssign() | ast.Break() | ast.Continue():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            if function.name != "__init__":
                yield ast.Pass()
        case ast.Return(value=ast.expr() as value) if not _is_given(value):
            yield from (ast.Return(changed) for changed in _returned(value, function))


def caught(handler: ast.ExceptHandler) -> Iterator[ast.expr]:
    """The exceptions of a handler, without one of several."""
    if isinstance(handler.type, ast.Tuple):
        names = handler.type.elts
        for index in range(len(names)):
            yield ast.Tuple(names[:index] + names[index + 1 :], ast.Load())


def _others(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.IfExp():
            yield from (ast.IfExp(test, node.body, node.orelse) for test in condition(node.test))
        case ast.Name() if node.id in _CALLS:
            yield ast.Name(_CALLS[node.id], node.ctx)
        case ast.Attribute():
            yield from _attribute(node)
        case ast.Slice():
            yield from _slice(node)


def _compare(node: ast.Compare) -> Iterator[ast.expr]:
    for index, comparison in enumerate(node.ops):
        ops = list(node.ops)
        ops[index] = _COMPARISONS[type(comparison)]()
        yield ast.Compare(node.left, ops, node.comparators)


def _bool_op(node: ast.BoolOp) -> Iterator[ast.expr]:
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for index in range(len(node.values)):
        kept = node.values[:index] + node.values[index + 1 :]
        yield kept[0] if len(kept) == 1 else ast.BoolOp(node.op, kept)


def _attribute(node: ast.Attribute) -> Iterator[ast.expr]:
    if isinstance(node.value, ast.Name) and node.value.id == "Reason":
        other = _OTHER_REASON if node.attr == _USUAL_REASON else _USUAL_REASON
        yield ast.Attribute(node.value, other, node.ctx)
    elif node.attr in _CALLS:
        yield ast.Attribute(node.value, _CALLS[node.attr], node.ctx)


def _slice(node: ast.Slice) -> Iterator[ast.expr]:
    for bound in ("lower", "upper"):
        if getattr(node, bound) is not None:
            changed = copy(node)
            setattr(changed, bound, None)
            yield changed


def _returned(value: ast.expr, function: ast.FunctionDef) -> Iterator[ast.expr]:
    if isinstance(function.returns, ast.Name) and function.returns.id == "bool":
        yield from condition(value)
    else:
        yield ast.Constant(None)


def _is_given(value: ast.expr) -> bool:
    """Whether a value is left to other changes, or to none."""
    return is_for_people(value) or (
        isinstance(value, ast.Constant) and (value.value is None or isinstance(value.value, bool))
    )


def _is_super(node: ast.Expr) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "super" for one in ast.walk(node))
