"""The role table: which executable, under which user, each role of this sensor is.

A laboratory may put another evaluator in through a file of its own; as that is the same as
replacing a part of the sensor, the file must belong to the user that runs the supervisor (root on
a real host) and be writable by nobody else.
"""

import json
import os
import pwd
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

MAX_FILE_BYTES = 64 * 1024
_MODULE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")


class RoleTableError(Exception):
    """The role table can't be used; names the file, what was found and what was expected."""


class Role(StrEnum):
    """The roles that the supervisor starts."""

    COLLECTOR = "collector"
    EVALUATOR = "evaluator"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class RoleEntry:
    """How one role is started: `python -I -m module` under a system user ("" keeps our own)."""

    module: str
    user: str


SHIPPED: Mapping[Role, RoleEntry] = MappingProxyType(
    {
        Role.COLLECTOR: RoleEntry("agent.collector", ""),
        Role.EVALUATOR: RoleEntry("agent.evaluator", "bulkhead-evaluator"),
        Role.LINK: RoleEntry("agent.link", "bulkhead-link"),
    }
)


def load_roles(path: Path | None) -> Mapping[Role, RoleEntry]:
    """The shipped table, with the modules that a file of the laboratory replaces.

    The file is JSON: `{"evaluator": "lab.unchecked.evaluator"}`.
    """
    if path is None:
        return SHIPPED
    document = _read(path)
    if not isinstance(document, dict):
        raise RoleTableError(f"{path}: expected an object of role and module")
    table = dict(SHIPPED)
    for name, module in document.items():
        if name not in set(Role):
            raise RoleTableError(f"{path}: {name!r:.40} is not one of {', '.join(Role)}")
        if not isinstance(module, str) or not _MODULE.fullmatch(module):
            raise RoleTableError(f"{path}: {name}: {module!r:.80} is not the name of a module")
        table[Role(name)] = replace(table[Role(name)], module=module)
    return MappingProxyType(table)


def ids(entry: RoleEntry) -> tuple[int, int] | None:
    """User and group id to start a role with; None keeps our own (always so without root)."""
    if not entry.user or os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(entry.user)
    except KeyError:
        raise RoleTableError(f"there is no user {entry.user}: run scripts/setup") from None
    return found.pw_uid, found.pw_gid


def command(entry: RoleEntry, *arguments: str) -> list[str]:
    """The command line of a role: isolated from the environment and the current folder."""
    return [sys.executable, "-I", "-m", entry.module, *arguments]


def _read(path: Path) -> Any:
    try:
        # A pipe must not make us wait.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        file = open(path, "rb", opener=lambda name, _: os.open(name, flags))  # noqa: SIM115
    except OSError as error:
        raise RoleTableError(f"{path}: {error.strerror}; expected a file of ours") from error
    with file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise RoleTableError(f"{path}: not a regular file")
        if facts.st_uid != os.geteuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise RoleTableError(
                f"{path}: uid {facts.st_uid}, mode {stat.S_IMODE(facts.st_mode):o}; expected our "
                f"own uid {os.geteuid()} and no write permission for others"
            )
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise RoleTableError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RoleTableError(f"{path}: not JSON") from error
