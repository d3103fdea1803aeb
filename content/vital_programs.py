"""Content may not prevent the programs that a host lives by.

An instance that is to prevent is put through the engine on made-up events: each vital program
(`content.vital_paths`), started in the plainest way by the manager of services or by a person's
shell. An instance that matches one would stop it everywhere, and its file is refused. One that asks
for more, such as certain arguments of a shell, matches none of them.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from content.escape import safe
from content.interpreter import Engine
from content.model import ChannelFile, Disposition
from content.problems import Problem
from content.reasons import Reason
from content.record import Records, encode
from content.template_type import Rung, TemplateType
from content.vital_paths import PATHS

PROCESS = "process"

BY_MANAGER: Mapping[str, bytes | int] = {
    "parent_image": b"/sbin/init",
    "parent_command_line": b"/sbin/init",
    "parent_pid": 1,
    "parent_user_id": 0,
    "user_id": 0,
    "group_id": 0,
}
BY_PERSON: Mapping[str, bytes | int] = {
    "parent_image": b"/bin/bash",
    "parent_command_line": b"-bash",
    "parent_pid": 4001,
    "parent_user_id": 1000,
    "user_id": 1000,
    "group_id": 1000,
    "login_user_id": 1000,
    "session_id": 3,
}


def check(
    channel_file: ChannelFile, template_type: TemplateType, engine: Engine
) -> Iterator[Problem]:
    """A problem for each instance that would prevent a vital program.

    engine: made of this file alone. Costs one batch of a few hundred events, and nothing where no
    instance of Template Type process is to prevent.
    """
    places = {
        instance.id: index
        for index, instance in enumerate(channel_file.instances)
        if instance.disposition is Disposition.PREVENT
    }
    if not places or template_type.name != PROCESS:
        return
    paths, records = _events(template_type)
    first: dict[str, str] = {}
    for match in engine.evaluate(template_type, records).matches:
        if match.instance.id in places:
            first.setdefault(match.instance.id, paths[match.row])
    for name, path in first.items():
        found = f"{safe(name)} would stop {path}, started in the plainest way"
        expected = "criteria that leave alone what a host lives by"
        place = f"instances[{places[name]}]"
        yield Problem(Reason.PREVENTS_VITAL_PROGRAM, place, found, expected)


def _events(template_type: TemplateType) -> tuple[Sequence[str], Records]:
    numbers = {field.name: field.number for field in template_type.fields}
    paths, records = [], []
    for starter in (BY_MANAGER, BY_PERSON):
        for path in sorted(PATHS):
            inputs = {numbers[name]: value for name, value in {**_program(path), **starter}.items()}
            paths.append(path)
            records.append(encode(template_type, inputs, rung=Rung.BPF_BTF))
    return paths, np.concatenate(records)


def _program(path: str) -> dict[str, bytes | int]:
    name = path.rpartition("/")[2]
    return {
        "image": path.encode(),
        "executable_path": path.encode(),
        "command_line": name.encode(),
        "name": name[:15].encode(),
        "argument_count": 1,
        "pid": 4002,
        "thread_id": 4002,
        "current_directory": b"/",
    }
