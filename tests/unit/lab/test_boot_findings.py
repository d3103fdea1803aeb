"""A boot counts as protected only if everything was seen that has to be seen."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from lab.boot import findings, systemd
from lab.boot.findings import IncompleteError, judged_before, running_before
from lab.boot.lines import Said
from lab.boot.report import BootResult, boot_lines
from lab.boot.witness import canary_number, program_starts

SHOWN = """Id=bulkhead-agent.service
After=local-fs.target system.slice
ActiveState=active
StatusText=protecting
NRestarts=0
InactiveExitTimestampMonotonic=2000000
ActiveEnterTimestampMonotonic=5000000

Id=cron.service
After=sysinit.target basic.target
ActiveState=active
StatusText=
NRestarts=0
InactiveExitTimestampMonotonic=5100000
ActiveEnterTimestampMonotonic=5200000

Id=udevd.service
After=systemd-sysusers.service
ActiveState=active
StatusText=
NRestarts=0
InactiveExitTimestampMonotonic=1000000
ActiveEnterTimestampMonotonic=0

Id=never.service
After=basic.target
InactiveExitTimestampMonotonic=0
ActiveEnterTimestampMonotonic=0
"""
WALL_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000


def status(*, deaths: tuple[float, ...] = ()) -> dict[str, Any]:
    """The sensor's status, with evaluators that died so many seconds after the kernel's start."""
    died = [{"time_unix_ns": WALL_NS + int((at - 20) * SECOND_NS)} for at in deaths]
    return {
        "protecting": True,
        "rung": "bpf_btf",
        "reduced_because": [],
        "deaths": died,
        "collection": {},
        "content": {"quarantine": [{}] if deaths else []},
    }


def boot(**parts: dict[str, Any]) -> list[Said]:
    """What a witness says of a good boot, with some of it changed."""
    services = [systemd.document(one) for one in systemd.read(SHOWN)]
    said: dict[str, dict[str, Any]] = {
        "start": {"at": 5.1, "status": status()},
        "canaries": {"ran": [6.0, 7.0, 8.0], "logged": [6.2, 7.1, 8.4]},
        "clock": {"wall_ns": WALL_NS, "at": 20.0},
        "status": {"status": status()},
        "services": {"services": services},
        "collection": {"at": 4.5},
        "programs": {"started": [0.5, 1.0, 4.4, 4.6]},
    }
    return [{"what": what, **facts} for what, facts in {**said, **parts}.items()]


def test_a_good_boot() -> None:
    """Nothing could ever pass, or the figures would be of something else."""
    seen = findings.read(boot())
    assert seen.complaint is None
    assert (seen.unit_started, seen.collecting, seen.ready) == (2.0, 4.5, 5.0)
    assert (seen.first_detected, seen.protected) == (6.2, 6.2)
    assert seen.longest_wait == pytest.approx(0.4)
    assert (seen.early, seen.ordinary, seen.programs_before) == ((), 1, 3)
    assert seen.judged_before is None


def test_protected_for_good_is_after_the_last_death() -> None:
    """A detection between two deaths would be taken for the end of the trouble."""
    seen = findings.read(boot(status={"status": status(deaths=(5.5, 6.5))}))
    assert (seen.first_detected, seen.protected) == (6.2, 7.1)
    assert seen.protected_after_boot == pytest.approx(2.1)
    assert (seen.deaths, seen.quarantined) == (2, 1)
    never = findings.read(boot(status={"status": status(deaths=(9.0,))}))
    assert (never.protected, never.protected_after_boot) == (None, math.inf)
    assert never.complaint == "0 canaries were not detected"


def test_dead_evaluator_at_the_start_is_no_failure() -> None:
    """Bad content at boot would count as a failure although protection was back in time."""
    start = {"at": 5.1, "status": {**status(), "protecting": False}}
    assert (
        findings.read(boot(start=start, status={"status": status(deaths=(5.05,))})).complaint
        is None
    )


def early_service() -> list[Said]:
    """Cron is there before the sensor is ready."""
    shown = SHOWN.replace("5100000", "4900000")
    return boot(services={"services": [systemd.document(one) for one in systemd.read(shown)]})


def never_ready() -> list[Said]:
    """The sensor is still on its way."""
    shown = SHOWN.replace("ActiveEnterTimestampMonotonic=5000000", "ActiveEnterTimestampMonotonic=")
    return boot(services={"services": [systemd.document(one) for one in systemd.read(shown)]})


def restarted() -> list[Said]:
    """The supervisor died once."""
    shown = SHOWN.replace("NRestarts=0", "NRestarts=1", 1)
    return boot(services={"services": [systemd.document(one) for one in systemd.read(shown)]})


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (early_service, "started before the sensor was ready: cron.service"),
        (never_ready, "the sensor never was ready: protecting"),
        (restarted, "the sensor was started 1 times again"),
        (
            lambda: boot(canaries={"ran": [6.0, 7.0], "logged": [6.2, None]}),
            "1 canaries were not detected",
        ),
        (
            lambda: boot(start={"at": 5.1, "status": None}),
            "ordinary services started on a host without protection",
        ),
        (
            lambda: boot(start={"at": 5.1, "status": {**status(), "protecting": False}}),
            "ordinary services started on a host without protection",
        ),
    ],
)
def test_what_is_missing_is_said(said: Callable[[], list[Said]], complaint: str) -> None:
    """A host that was not protected would pass."""
    assert findings.read(said()).complaint == complaint
    lines = boot_lines(BootResult("boot", findings.read(said())))
    assert lines[0].startswith(f"boot: FAILED: {complaint}")


@pytest.mark.parametrize("part", ["start", "canaries", "clock", "status", "services", "programs"])
def test_cut_off_report_is_no_finding(part: str) -> None:
    """A guest that stopped half-way has shown nothing."""
    with pytest.raises(IncompleteError, match=f"did not say {part}"):
        findings.read([one for one in boot() if one["what"] != part])


def test_sensor_that_systemd_does_not_know() -> None:
    """A unit that was never enabled would end in a traceback."""
    with pytest.raises(IncompleteError, match="did not start the sensor"):
        findings.read(boot(services={"services": []}))
    (line,) = boot_lines(BootResult("boot", None, "why"))
    assert line == "boot: NOTHING SHOWN: why"


def test_without_a_trace_no_count_of_programs() -> None:
    """A kernel without that trace would count 0 programs, which is better than can be."""
    assert findings.read(boot(programs={"started": []})).programs_before is None
    assert findings.read(boot(collection={"at": None})).programs_before is None


def test_processes_judged_are_those_that_the_sensor_names() -> None:
    """A sensor that does not judge what came before it would be said to have judged nothing."""
    for without in ({"collection": None}, {"collection": {"seeding": None}}):
        assert (running_before(without), judged_before(without)) == (None, None)
    said = {"collection": {"seeding": {"found": 45, "executed_since": 3, "judged": 41}}}
    assert (running_before(said), judged_before(said)) == (42, 41)


def test_program_starts_of_a_trace() -> None:
    """Comments or other events would be counted."""
    trace = (
        "# entries-in-buffer/entries-written: 2/2   #P:2\n"
        "         systemd-1       [001] .....     1.250000: sched_process_exec: filename=/bin/a"
        " pid=7 old_pid=7\n"
        "  (x: y) z-2             [000] d..1.    12.345678: sched_process_exec: filename=/b: pid=8"
        " old_pid=8\n"
        "          bash-3         [000] .....    13.000000: sched_switch: prev_comm=bash\n"
    )
    assert program_starts(trace) == [1.25, 12.345678]


@pytest.mark.parametrize(
    ("instance", "command_line", "number"),
    [
        ("bulkhead-exec-canary", "/tmp/x/bulkhead-canary-boot 12", 12),  # noqa: S108
        ("bulkhead-exec-canary", "/tmp/x/bulkhead-canary", None),  # noqa: S108
        ("other", "/bin/x 12", None),
    ],
)
def test_detections_of_our_canary(instance: str, command_line: str, number: int | None) -> None:
    """Somebody else's detection would be taken for a canary's."""
    detection = {"instance": instance, "inputs": {"command_line": command_line}}
    assert canary_number(detection) == number
