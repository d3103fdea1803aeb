"""Finds arms and faults: the modules of two packages, by listing them.

A file that is put into `lab/arms` or `lab/faults` is found without being named anywhere else. One
that can't be used is a PartError that names the file, what was found and what was expected.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import TypeVar

import lab.arms
import lab.faults
from lab.cells.model import Cell, Expectation
from lab.cells.parts import Arm, Fault

Part = TypeVar("Part", Arm, Fault)


class PartError(Exception):
    """A file of an arm or fault can't be used; the message is "REASON_CODE: words"."""


def arms() -> dict[str, Arm]:
    """All arms by name, in the order of their files."""
    return _parts(lab.arms, "ARM", Arm)


def faults() -> dict[str, Fault]:
    """All faults by name, in the order of their files; each says what it expects of each arm."""
    found = _parts(lab.faults, "FAULT", Fault)
    known = set(arms())
    for fault in found.values():
        missing = sorted(known - set(fault.expected))
        if missing:
            raise PartError(
                f"EXPECTATION_MISSING: fault {fault.name} says nothing of {', '.join(missing)}; "
                "expected an expectation for each arm"
            )
    return found


def expectations() -> Mapping[Cell, Expectation]:
    """What is expected of each cell."""
    return {
        Cell(arm, name): fault.expected[arm] for name, fault in faults().items() for arm in arms()
    }


def _parts(package: ModuleType, constant: str, kind: type[Part]) -> dict[str, Part]:
    found: dict[str, Part] = {}
    # Anew each time: a file may have come since.
    importlib.invalidate_caches()
    for one in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{one.name}")
        part = getattr(module, constant, None)
        if not isinstance(part, kind):
            raise PartError(
                f"PART_MISSING: {module.__file__}: {constant} is {type(part).__name__}, "
                f"expected {kind.__name__}"
            )
        if part.name in found:
            raise PartError(
                f"PART_DOUBLED: {module.__file__}: there is another {constant} {part.name}"
            )
        found[part.name] = part
    return found
