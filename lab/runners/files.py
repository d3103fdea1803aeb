"""The Channel Files of a cell: the same for every arm."""

from dataclasses import dataclass

from content.definitions import load_definitions
from lab.cells.parts import Delivery, Fault
from lab.poisoned import content as canary
from lab.unchecked.marked import harmless

HARMLESS_VERSION = 19
UPDATE_VERSION = 20
BAD_VERSION = 21
"""Of the file for ipc: what is in force before, what a power cut comes amid, the fault's."""


@dataclass(frozen=True, slots=True)
class Files:
    """Payloads. canary: for process events. before, bad: for ipc, at first and the fault's."""

    canary: bytes
    before: bytes
    bad: bytes


def files_of(fault: Fault) -> Files:
    """The same Channel Files for every arm."""
    types = load_definitions()
    before = harmless(types, HARMLESS_VERSION)
    if fault.delivery is Delivery.POWER_CUT:
        bad = fault.payload(types, UPDATE_VERSION)
    else:
        bad = fault.payload(types, BAD_VERSION)
    return Files(canary.channel_file(types, 1, (), harmless=0), before, bad)
