"""Which login and which control group a program belongs to."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.collection import Collection, is_truncated
from tests.kernel.rungs import ONLY_WITH_BTF
from tests.kernel.workload import run_python
from tests.needs import require_audit, require_root, skip_unavoidable

pytestmark = ONLY_WITH_BTF

LOGIN = 424242
CGROUP_NAME_BYTES = 128
CONTAINER = f"docker-{'0123456789abcdef' * 4}.scope"

LOG_IN = f"""
def log_in():
    with open('/proc/self/loginuid', 'w') as file:
        file.write('{LOGIN}')
    with open('/proc/self/sessionid') as file, open(path('session'), 'w') as kept:
        kept.write(file.read())
"""


@pytest.fixture
def cgroups() -> Iterator[Path]:
    """A control group of ours in the unified hierarchy, gone afterwards."""
    require_root()
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    points = [Path(words[1]) for words in mounts if words[2] == "cgroup2"]
    if not points or not os.access(points[0], os.W_OK):
        skip_unavoidable("no unified cgroup hierarchy that may be changed")
    folder = points[0] / f"bulkhead-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
    folder.rmdir()


def test_a_login_and_what_it_starts(collection: Collection, tmp_path: Path) -> None:
    """If it failed, nobody could tell what a person did from what a service did."""
    require_audit()
    program = LOG_IN + "log_in()\nos.posix_spawn('/bin/true', ['true'], {})\nos.wait()\n"
    pid = run_python(program, tmp_path)
    (event,) = collection.take("process", parents=[pid])
    assert event["login_user_id"] == LOGIN
    assert event["session_id"] == int((tmp_path / "session").read_text())


def test_a_login_stays_through_a_change_of_user(collection: Collection, tmp_path: Path) -> None:
    """If it failed, sudo would make a person unknown."""
    require_audit()
    nobody = pwd.getpwnam("nobody").pw_uid
    program = LOG_IN + f"log_in()\nos.setuid({nobody})\nos.execv('/bin/true', ['true'])\n"
    pid = run_python(program, tmp_path)
    event = collection.take("process", [pid])[-1]
    assert (event["user_id"], event["login_user_id"]) == (nobody, LOGIN)


def test_no_login_is_absent(collection: Collection) -> None:
    """If it failed, every service would be a user with the greatest of all numbers."""
    require_audit()
    process = subprocess.Popen(["/bin/true"])
    process.wait(10)
    (event,) = collection.take("process", [process.pid])
    shown = int(Path("/proc/self/loginuid").read_text())
    assert ("login_user_id" in event) is (shown != 0xFFFFFFFF)


def in_group(group: Path) -> str:
    """A program that goes into a control group and executes another there."""
    return (
        f"with open({str(group / 'cgroup.procs')!r}, 'w') as file:\n"
        "    file.write(str(os.getpid()))\n"
        "os.posix_spawn('/bin/true', ['true'], {})\nos.wait()\n"
    )


@pytest.mark.parametrize(
    "name", ["service", CONTAINER, "n" * CGROUP_NAME_BYTES, "n" * (CGROUP_NAME_BYTES + 1)]
)
def test_name_of_the_control_group(collection: Collection, cgroups: Path, name: str) -> None:
    """If it failed, a container's processes could not be told from the host's."""
    group = cgroups / name
    group.mkdir()
    pid = run_python(in_group(group))
    (event,) = collection.take("process", parents=[pid])
    definition = collection.rings["process"].template_type
    assert event["cgroup_name"] == name.encode()[:CGROUP_NAME_BYTES]
    assert event["cgroup_id"] == group.stat().st_ino
    assert is_truncated(definition, event, "cgroup_name") is (len(name) > CGROUP_NAME_BYTES)


def test_root_of_the_hierarchy_has_an_empty_name(collection: Collection, cgroups: Path) -> None:
    """If it failed, hosts without control groups would have garbage for a name."""
    pid = run_python(in_group(cgroups.parent))
    (event,) = collection.take("process", parents=[pid])
    assert event["cgroup_name"] == b""
