"""What was released from February to July 2024, as Channel Files and Definitions of ours.

The dates are those of the root cause analysis: the Template Type came with a sensor release in
February; instances in which field 21 was a wildcard in March and April; the one with a criterion on
it on 19 July.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from content.channel_file import ChannelFile, load
from content.definitions import Rung, TemplateType, load_definitions
from lab import july19

RUNG = Rung.BPF_BTF


@dataclass(frozen=True, slots=True)
class Release:
    """One release of Rapid Response Content. wildcard: whether nothing is asked of field 21."""

    day: date
    version: int
    wildcard: bool

    def channel_file(self) -> ChannelFile:
        """The file that its author packed."""
        return load(july19.channel_file(supplied(), self.version, wildcard=self.wildcard))


TYPE_RELEASED = date(2024, 2, 28)
RELEASES = (
    Release(date(2024, 3, 5), 1, wildcard=True),
    Release(date(2024, 4, 8), 2, wildcard=True),
    Release(date(2024, 4, 16), 3, wildcard=True),
    Release(date(2024, 4, 24), 4, wildcard=True),
    Release(date(2024, 7, 19), 5, wildcard=False),
)


@functools.cache
def supplied() -> Mapping[int, TemplateType]:
    """The Definitions that the sensor was built from: ipc has 20 fields."""
    return load_definitions()


@functools.cache
def sensors_type() -> TemplateType:
    """What the sensor supplies of ipc."""
    return next(one for one in supplied().values() if one.name == july19.IPC)


@functools.cache
def authors_type() -> TemplateType:
    """What its author believed: 21 fields."""
    return july19.definition_with_21_fields(supplied())
