"""The collector comes, hands over and goes; collection stays, and in the end nothing does."""

import os
import pwd
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from agent import channel
from content.definitions import Rung, load_definitions
from tests.kernel.bpf_objects import identities, is_there
from tests.kernel.collection import (
    ENVIRONMENT,
    Collection,
    collecting,
    refused,
    start_process,
)
from tests.needs import require_btf
from tests.patience import patient
from tests.process.waiting import until

GONE_SECONDS = patient(10)
TEMPORARY = Path(tempfile.gettempdir())


@pytest.fixture(autouse=True)
def _needs() -> None:
    require_btf()


def execs_seen(collection: Collection, count: int) -> int:
    """Run a command so many times; how often was it seen."""
    seen = 0
    for _ in range(count):
        process = subprocess.Popen(["/bin/true"])
        process.wait(patient(10))
        seen += len(collection.take("process", [process.pid]))
    return seen


def test_collection_outlives_the_collector(session_collection: Collection) -> None:
    """If it failed, no event would come once the process with BPF rights is gone."""
    assert session_collection.process.wait(patient(10)) == 0
    session_collection.skip()
    assert execs_seen(session_collection, 5) == 5


def test_everything_is_attached(session_collection: Collection) -> None:
    """If it failed, part of what the sensor promises would silently not be collected."""
    probes = session_collection.message["probes"]
    missing = [probe for probe in probes if probe.startswith("missing/")]
    rings = {ring["template_type"] for ring in session_collection.message["rings"]}
    rung = session_collection.rung
    types = load_definitions().values()
    assert rings == {one.number for one in types if one.supplied_fields(rung)}
    raw = rung is Rung.BPF_BTF
    assert f"{'raw_tracepoint/' if raw else 'tracepoint/sched:'}sched_process_exec" in probes
    no_modules = {f"missing/{name}_module" for name in ("init", "finit", "delete")}
    assert set(missing) <= {"missing/fchmodat2", "missing/openat2"} | no_modules


def test_only_what_is_wanted_is_attached() -> None:
    """If it failed, the host would pay for what no content needs."""
    with collecting("--rung", "bpf_btf", "--types", "1") as collection:
        assert [ring["template_type"] for ring in collection.message["rings"]] == [1]
        assert all(probe.startswith("raw_tracepoint/") for probe in collection.message["probes"])
        assert execs_seen(collection, 3) == 3


def test_an_unknown_type_does_not_cost_the_others() -> None:
    """If it failed, content of a newer release in the store would blind a sensor at its start."""
    with collecting("--rung", "bpf_btf", "--types", "1,9999") as collection:
        assert [ring["template_type"] for ring in collection.message["rings"]] == [1]
        assert execs_seen(collection, 2) == 2


def test_nothing_is_left() -> None:
    """If it failed, a sensor that ends would leave programs, maps or mounts on the host."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    with collecting("--rung", "bpf_btf") as collection:
        ours = identities(collection.descriptors)
        assert all(is_there(identity) for identity in ours)
    deadline = time.monotonic() + GONE_SECONDS
    while any(is_there(identity) for identity in ours) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [identity for identity in ours if is_there(identity)]
    assert Path("/proc/self/mountinfo").read_text(encoding="utf-8") == mounts
    assert not list(TEMPORARY.glob(f"bulkhead-kernel-{collection.process.pid}-*"))


def test_killed_while_it_compiles() -> None:
    """If it failed, a collector that dies early would leave something behind for good."""
    ours, theirs = channel.pair()
    with ours, theirs:
        process = start_process(["--rung", "bpf_btf"], theirs)
        until(lambda: bool(list(TEMPORARY.glob(f"bulkhead-kernel-{process.pid}-*"))))
        process.kill()
        process.wait()
    with collecting("--rung", "bpf_btf", "--types", "1") as collection:
        assert execs_seen(collection, 2) == 2
    assert not list(TEMPORARY.glob(f"bulkhead-kernel-{process.pid}-*"))


def test_tracefs_is_mounted_where_nobody_sees_it() -> None:
    """If it failed, a host without tracefs would have no sensor, or find a mount it never made."""
    program = (
        "import subprocess, sys\n"
        "from pathlib import Path\n"
        "from tests.kernel.collection import collecting\n"
        "for place in ('/sys/kernel/debug/tracing', '/sys/kernel/tracing'):\n"
        "    subprocess.run(['umount', place], capture_output=True)\n"
        "assert not Path('/sys/kernel/tracing/events').exists()\n"
        "with collecting('--rung', 'bpf_btf', '--types', '4') as collection:\n"
        "    assert len(collection.message['probes']) > 3\n"
        "assert not Path('/sys/kernel/tracing/events').exists()\n"
    )
    command = ["unshare", "--mount", sys.executable, "-c", program]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], timeout=patient(50))


def test_without_rights_it_says_so() -> None:
    """If it failed, an unprivileged start would be a traceback instead of a lower rung."""
    nobody = pwd.getpwnam("nobody")
    message = refused("--rung", "bpf_btf", user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
    assert message["rung"] == "bpf_btf"
    assert message["reason"] in ("NOT_PERMITTED", "TRACEFS_UNAVAILABLE")
    assert message["detail"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--ring-bytes", "5000"],
        ["--ring-bytes", "4096"],
        ["--types", "x"],
        ["--rung", "none"],
    ],
)
def test_wrong_options_are_refused(arguments: list[str]) -> None:
    """If it failed, a mistyped option would end in a traceback or be passed over."""
    command = [sys.executable, "-I", "-m", "agent.collector", "--channel-fd", "0"]
    ended = subprocess.run(
        [*command, "--rung", "bpf_btf", *arguments],
        capture_output=True,
        check=False,
        env=ENVIRONMENT,
        cwd=os.sep,
    )
    assert ended.returncode != 0
    assert b"Traceback" not in ended.stderr
    assert arguments[0].encode() in ended.stderr
