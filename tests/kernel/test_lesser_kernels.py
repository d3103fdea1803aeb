"""Kernels that lack something: without typed tasks (before 5.11), audit or control groups."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.needs import require_btf
from tests.patience import patient

SECONDS = patient(50)
FOLDER = "/usr/share"

# A process of its own, because it changes what the kernel says of itself.
PROGRAM = """
import json, os, sys
from content.definitions import load_definitions
from content.record import decode
from probes import btf, loader, program
from probes.errors import ProbeError, ProbeReason
from probes.limits import LIMITS
from probes.ring import Ring
from probes.tracefs import mount_privately

class LesserKernel(btf.KernelTypes):
    def offset(self, structure, member):
        if (structure, member) in {missing!r}:
            raise ProbeError(ProbeReason.BTF_MEMBER_MISSING, "not in this kernel")
        return super().offset(structure, member)
    def has_name(self, name):
        return {typed!r} and super().has_name(name)

loader.KernelTypes = LesserKernel
mount_privately()
types = load_definitions()
probes = loader.load(tuple(types.values()), {{1: 1 << 20, 2: 1 << 20, 3: 1 << 20, 4: 1 << 20}})
with open("/proc/self/loginuid", "w") as file:
    file.write("4242")
os.chdir({folder!r})
pid = os.posix_spawn("/bin/true", ["true", "here"], {{}})
os.waitpid(pid, 0)
os.close(os.open("/dev/null", os.O_WRONLY))
found = {{}}
for told in probes.rings[:2]:
    kind = types[told.template_type]
    with Ring(told.descriptor, told.stride, told.size, told.kind, kind) as ring:
        for record in ring.read(0, 10000):
            if record["pid"] in (pid, os.getpid()):
                inputs = decode(kind, record.reshape(1))
                found[kind.name] = {{
                    kind.field(number).name: repr(value) for number, value in inputs.items()
                }}
print(json.dumps(found))
probes.close()
"""


def seen_without(*missing: tuple[str, str], typed: bool) -> Any:
    """The exec and the open that are seen where the kernel lacks members, by field name."""
    require_btf()
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(missing=missing, typed=typed, folder=FOLDER)],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=SECONDS,
    )
    return json.loads(ended.stdout)


def test_all_is_seen_without_typed_tasks() -> None:
    """If it failed, Debian 11's kernel would have no sensor, or one that lies."""
    found = seen_without(typed=False)
    process, opened = found["process"], found["file"]
    assert process["command_line"] == repr(b"true here")
    assert process["name"] == repr(b"true")
    assert process["current_directory"] == repr(FOLDER.encode())
    assert process["parent_image"] == repr(os.path.realpath(sys.executable).encode())
    assert (opened["path"], opened["pid"]) == (repr(b"/dev/null"), process["parent_pid"])


def test_fields_are_absent_without_audit_and_control_groups() -> None:
    """If it failed, a kernel built without them would have no sensor, or garbage in the fields."""
    lacking = (
        ("task_struct", "loginuid"),
        ("task_struct", "sessionid"),
        ("task_struct", "cgroups"),
        ("css_set", "dfl_cgrp"),
        ("cgroup", "kn"),
    )
    process = seen_without(*lacking, typed=True)["process"]
    assert not {"login_user_id", "session_id", "cgroup_name"} & process.keys()
    assert process["current_directory"] == repr(FOLDER.encode())
