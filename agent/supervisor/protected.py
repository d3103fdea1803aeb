"""What is never prevented, whoever asks for it: the programs that a host and this sensor live by.

Only our own list is looked up on disk, never a path that content names: that could lie on a file
system which answers nobody.
"""

import contextlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from content.vital_paths import PATHS, is_initial, is_vital


def _real_names(paths: Iterable[str]) -> frozenset[str]:
    found = set()
    for path in paths:
        with contextlib.suppress(OSError):  # without root, pid 1's is none of our business
            found.add(os.path.realpath(path))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Protected:
    """The paths that are vital by name, and what those lead to on this host.

    own: of the sensor. real: where symbolic links from vital paths and from our own end.
    """

    own: frozenset[str] = frozenset({sys.executable})
    real: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        found = _real_names(PATHS | self.own | {"/proc/1/exe"})
        object.__setattr__(self, "real", found)

    def is_protected(self, path: bytes) -> bool:
        """Whether the kernel may not prevent this path."""
        text = os.path.normpath(os.fsdecode(path))
        return is_vital(text) or text in self.real or text in self.own


def runs_initial_program(pid: int) -> bool:
    """Whether a process runs what only a first process or the manager of services runs."""
    try:
        return is_initial(str(Path(f"/proc/{pid}/exe").readlink()))
    except OSError:
        return False
