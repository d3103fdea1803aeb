"""Arms and faults as they are found: each module of their packages has one constant.

Nothing is registered anywhere else; a file that is put into the package is there.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from lab.campaign.plan import Catalogue
from lab.cells.model import Cell, Expectation


class Arm(Protocol):
    """A placement of the interpreter."""

    name: str
    title: str


class Fault(Protocol):
    """What happens to it, and what is expected of each arm by name."""

    name: str
    title: str
    expected: Mapping[str, Expectation]


def load() -> Catalogue:
    """All there are, in the order of their modules' names."""
    arms: list[Arm] = list(_constants("lab.arms", "ARM"))
    faults: list[Fault] = list(_constants("lab.faults", "FAULT"))
    return Catalogue(
        {one.name: one.title for one in arms},
        {one.name: one.title for one in faults},
        {Cell(arm.name, one.name): one.expected[arm.name] for one in faults for arm in arms},
    )


def _constants(package: str, constant: str) -> Iterator[Any]:
    folders = importlib.import_module(package).__path__
    for module in sorted(pkgutil.iter_modules(folders), key=lambda one: one.name):
        found = importlib.import_module(f"{package}.{module.name}")
        if hasattr(found, constant):
            yield getattr(found, constant)
