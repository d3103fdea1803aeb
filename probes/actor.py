"""Who acted, who the parent is and what was started, as the rungs that read /proc fill it in."""

from collections.abc import Mapping
from dataclasses import asdict

from content.definitions import TemplateType
from probes.processes import Process
from probes.record_writer import Value
from probes.surroundings import Surroundings

ACTOR_FIELDS = frozenset(
    "image command_line name pid parent_pid user_id group_id start_time parent_image"
    " parent_command_line parent_user_id parent_start_time".split()
)
PROGRAM_FIELDS = frozenset(
    "argument_count executable_path current_directory login_user_id session_id cgroup_name"
    " observed".split()
)


def actor_fields(process: Process, parent: Process | None) -> dict[str, Value]:
    """The fields of a process and of its parent, as far as they are known."""
    fields: dict[str, Value | None] = {
        "image": process.image,
        "command_line": process.command_line,
        "name": process.name,
        "pid": process.pid,
        "parent_pid": process.parent_pid,
        "user_id": process.user_id,
        "group_id": process.group_id,
        "start_time": process.start_time,
    }
    return _known(fields) | parent_fields(parent)


def parent_fields(parent: Process | None) -> dict[str, Value]:
    """The fields of the parent; none if nobody knows it."""
    if parent is None:
        return {}
    fields: dict[str, Value | None] = {
        "parent_image": parent.image,
        "parent_command_line": parent.command_line,
        "parent_user_id": parent.user_id,
        "parent_start_time": parent.start_time or None,
    }
    return _known(fields)


def program_fields(process: Process, surroundings: Surroundings, observed: int) -> dict[str, Value]:
    """What only the start of a program tells, as far as it is known.

    observed: how it was noticed, as the Definition numbers it.
    """
    fields = {
        "argument_count": process.argument_count,
        "executable_path": process.image,
        "observed": observed,
    }
    return _known({**fields, **asdict(surroundings)})


def exec_value(types: Mapping[int, TemplateType]) -> int:
    """How the Definition numbers a process that was noticed by its exec."""
    process = next(kind for kind in types.values() if kind.name == "process")
    return next(one.values["exec"] for one in process.fields if one.name == "observed")


def _known(fields: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in fields.items() if value is not None}
