"""Arms and faults, as their modules describe them. Pure.

An arm is a placement of the interpreter, a fault is something that happens to it. Each is one file
in `lab.arms` or `lab.faults` with one constant, found by `lab.cells.finding`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from content.template_type import TemplateType
from lab.cells.model import Expectation

Types = Mapping[int, TemplateType]

PayloadMaker = Callable[[Types, int], bytes]
"""Template Types and a version → the payload of a Channel File for ipc."""

ORDINARY_PIPE = "ordinary.fifo"


class Placement(StrEnum):
    """Which program of `lab.hosts` carries an arm on a host."""

    MODULE = "module"
    AGENT = "agent"
    SENSOR = "sensor"
    BPF = "bpf"


class Delivery(StrEnum):
    """How a fault comes to a host."""

    PUSHED = "pushed"  # it arrives at a host that is protected
    PRESENT = "present"  # it is there when the host starts
    POWER_CUT = "power cut"  # it is a power cut, amid updates without end


@dataclass(frozen=True, slots=True)
class Arm:
    """A placement.

    name: as in `Cell`. title: a few words. words: what it stands for, in a sentence.
    checked: whether the arm's own content pipeline is the product's, with all of its checks.
    """

    name: str
    title: str
    words: str
    placement: Placement
    checked: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


def undamaged(stored: bytes) -> bytes:
    """The Channel File as it was sent."""
    return stored


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens, and what its author expects of each arm.

    words: what it does, in a sentence. payload: the Channel File for ipc that goes wrong.
    damage: what becomes of the stored file's bytes. pipe: the name of the FIFO that is made again
    and again; it is the event that the content is evaluated on. hangs: whether who evaluates
    it never comes back, so that a lost host is only silent.
    """

    name: str
    title: str
    words: str
    delivery: Delivery
    payload: PayloadMaker
    expected: Mapping[str, Expectation]
    damage: Callable[[bytes], bytes] = undamaged
    pipe: str = ORDINARY_PIPE
    hangs: bool = False
