"""A disk that forgets: what may be left of a folder when the power is cut amid its changes.

`recording` notes the system calls that change files below a folder while they are carried out.
`Disk.cut` says what the folder may hold if the power went after any number of them: data that was
not fsynced is old, new, torn or zeros, and names that were not fsynced with their folder are, each
by itself, there or not. That is harsher than any journaling file system.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Call(NamedTuple):
    """One system call: its name, the path or paths it is about, and the data it wrote."""

    name: str
    path: Path
    other: Path | None = None
    data: bytes = b""


@contextmanager
def recording(folder: Path, calls: list[Call]) -> Iterator[None]:
    """Append every change below a folder to `calls`."""
    real = {name: getattr(os, name) for name in ("open", "write", "fsync", "replace", "unlink")}
    paths: dict[int, Path] = {}

    def note(name: str, path: Any, other: Any = None, data: bytes = b"") -> None:
        if Path(path).is_relative_to(folder):
            calls.append(Call(name, Path(path), Path(other) if other else None, data))

    def opened(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        descriptor: int = real["open"](path, flags, mode, **more)
        paths[descriptor] = Path(path)
        if flags & os.O_CREAT:
            note("create" if flags & os.O_TRUNC else "touch", path)
        return descriptor

    def written(descriptor: int, data: Any) -> int:
        count: int = real["write"](descriptor, data)
        note("write", paths[descriptor], data=bytes(data)[:count])
        return count

    def synced(descriptor: int) -> None:
        real["fsync"](descriptor)
        note("fsync", paths[descriptor])

    def replaced(source: Any, target: Any) -> None:
        real["replace"](source, target)
        note("replace", source, target)

    def unlinked(path: Any) -> None:
        real["unlink"](path)
        note("unlink", path)

    with pytest.MonkeyPatch.context() as patch:
        for name, fake in zip(real, (opened, written, synced, replaced, unlinked), strict=True):
            patch.setattr(os, name, fake)
        yield


@dataclass(slots=True)
class Inode:
    """A file's data: as programs see it, and as it is certain to be on the disk."""

    seen: bytes = b""
    safe: bytes = b""

    def after_cut(self, chance: random.Random) -> bytes:
        """The data after a power cut."""
        if self.seen == self.safe:
            return self.safe
        torn = self.seen[: chance.randrange(len(self.seen) + 1)]
        return chance.choice([self.safe, self.seen, torn, b"", bytes(len(self.seen))])


# A change of names: what a name stands for from now on; None where it is gone.
Change = dict[Path, Inode | None]


@dataclass(slots=True)
class Disk:
    """The names and data of one folder tree."""

    seen: dict[Path, Inode] = field(default_factory=dict)
    safe: dict[Path, Inode] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)

    def apply(self, call: Call) -> None:
        """Carry one system call out."""
        if call.name == "create":
            self._create(call.path)
        elif call.name == "touch":
            self._link({call.path: self.seen.get(call.path, Inode())})
        elif call.name == "write":
            self.seen[call.path].seen += call.data
        elif call.name == "replace" and call.other:
            self._link({call.other: self.seen[call.path], call.path: None})
        elif call.name == "unlink":
            self._link({call.path: None})
        elif call.path in self.seen:
            self.seen[call.path].safe = self.seen[call.path].seen
        else:
            self._sync_names(call.path)

    def cut(self, chance: random.Random) -> dict[Path, bytes]:
        """What may be found when the power comes back."""
        names: dict[Path, Inode | None] = dict(self.safe)
        for change in self.pending:
            if chance.random() < 0.5:
                names.update(change)
        return {path: inode.after_cut(chance) for path, inode in names.items() if inode}

    def _create(self, path: Path) -> None:
        if path in self.seen:
            self.seen[path].seen = b""
        else:
            self._link({path: Inode()})

    def _link(self, change: Change) -> None:
        self.pending.append(change)
        _put(self.seen, change)

    def _sync_names(self, folder: Path) -> None:
        for change in [one for one in self.pending if next(iter(one)).parent == folder]:
            _put(self.safe, change)
            self.pending.remove(change)


def _put(names: dict[Path, Inode], change: Change) -> None:
    for path, inode in change.items():
        if inode is None:
            names.pop(path, None)
        else:
            names[path] = inode
