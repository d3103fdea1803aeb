"""What an operator sees: names instead of numbers, and nothing that breaks on odd values."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhead.v1.channel_file_pb2 import AddressPrefix, FieldInput, Severity, Value
from bulkhead.v1.report_pb2 import (
    CONTENT_STATE_ACCEPTED,
    RUNG_BPF_BTF,
    RUNG_PSUTIL,
    ActiveChannelFile,
    CrashReport,
    Detection,
    Heartbeat,
    LossReport,
    Rung,
)
from bulkhead.v1.sensor_service_pb2 import Hello, RefusedRung
from cloud import views
from cloud.offers import Standing
from cloud.refusals import Refusal
from cloud.store import hosts, releases
from cloud.store.database import Database
from cloud.store.reports import Stored
from content.definitions import load_definitions

TYPES = load_definitions()
NETWORK = next(one for one in TYPES.values() if one.name == "network")
FIELDS = {field.name: field.number for field in NETWORK.fields}
NOW_NS = 1_700_000_000_000_000_000
FAR = 2**63 - 1


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    made = Database.create(tmp_path / "cloud.sqlite")
    yield made
    made.close()


def test_a_detection_shows_names_of_fields_and_values() -> None:
    """An analyst would have to look numbers up in the Definitions."""
    inputs = {
        "operation": Value(unsigned=1),
        "remote_address": Value(prefix=AddressPrefix(address=b"\x7f\0\0\1", length=32)),
        "remote_port": Value(unsigned=4444),
        "result": Value(signed=-111),
        "image": Value(text=b"/bin/\x1bsh\xff"),
    }
    report = Detection(
        id="d1",
        template_type=NETWORK.number,
        inputs=[FieldInput(field=FIELDS[name], value=value) for name, value in inputs.items()],
        truncated_fields=[FIELDS["image"]],
        severity=Severity.SEVERITY_CRITICAL,
        time_unix_ns=NOW_NS,
    )
    shown = views.detection(Stored(1, "a", NOW_NS, report), TYPES)
    assert shown["inputs"] == {
        "operation": "connect",
        "remote_address": "127.0.0.1",
        "remote_port": 4444,
        "result": -111,
        "image": "/bin/\\x1bsh\\xff",
    }
    assert (shown["template_type"], shown["severity"]) == ("network", "critical")
    assert shown["truncated"] == ["image"]
    assert shown["time"] == "2023-11-14T22:13:20.000+00:00"


def test_a_newer_sensors_reports_are_shown_with_numbers() -> None:
    """One report of an unknown type or value would break the view of all."""
    value = Value(unsigned=2**64 - 1)
    report = Detection(
        id="d1",
        template_type=77,
        rung=Rung.ValueType(99),
        time_unix_ns=FAR,
        inputs=[FieldInput(field=21, value=value), FieldInput(field=0)],
        truncated_fields=[2**32 - 1],
    )
    shown = views.detection(Stored(1, "a", -FAR, report), TYPES)
    assert shown["inputs"] == {"field_21": 2**64 - 1, "field_0": None}
    assert (shown["template_type"], shown["rung"]) == ("77", "99")
    crash = views.crash(Stored(1, "a", 0, CrashReport(time_unix_ns=FAR, role=42)), TYPES)  # type: ignore[arg-type]
    assert crash["role"] == "42"
    loss = views.loss(Stored(1, "a", 0, LossReport(from_unix_ns=-FAR, to_unix_ns=FAR)), TYPES)
    json.dumps([shown, crash, loss])


def add_release(database: Database, name: bytes, version: int) -> None:
    """A release of the network type."""
    new = releases.NewRelease(
        name, NETWORK.number, version, 3, unsafe=False, signed=b"x", halt_order=b""
    )
    with database.writing() as store:
        releases.push(store, new, NOW_NS)


def test_the_fleet_shows_what_is_kept_from_a_host_as_long_as_it_matters(
    database: Database,
) -> None:
    """An operator would not see why a host has no content, or look into solved problems."""
    older, newer = b"1" * 32, b"2" * 32
    add_release(database, older, 1)
    add_release(database, newer, 3)
    active = ActiveChannelFile(
        template_type=NETWORK.number,
        version=2,
        content_hash=b"3" * 32,
        state=CONTENT_STATE_ACCEPTED,
    )
    why = (Refusal("ARITY_MISMATCH", "template_type.arity", "21", "20"),)
    with database.writing() as store:
        refused = RefusedRung(rung=RUNG_BPF_BTF, reason="BTF_MISSING", detail="no vmlinux")
        hello = Hello(agent_id="a", rung=RUNG_PSUTIL, active=[active], refused_rungs=[refused])
        hosts.say_hello(store, hello, "s", NOW_NS)
        hosts.Beats("a", "s", Heartbeat(rung=RUNG_BPF_BTF, events_lost=5), NOW_NS)(store)
        rows = [
            hosts.ContentRow("a", name, Standing.WITHHELD, 1, why, NOW_NS)
            for name in (older, newer, b"forgotten".ljust(32))
        ]
        hosts.set_content(store, rows)
    with database.reading() as store:
        later_ns = NOW_NS + 5 * views.NANOSECONDS
        (host,) = views.fleet(store, TYPES, later_ns, served=True)["hosts"]
        (unserved,) = views.fleet(store, TYPES, later_ns, served=False)["hosts"]
    assert [one["content_hash"] for one in host["content"]] == [newer.hex()]
    assert host["content"][0]["problems"][0]["reason"] == "ARITY_MISMATCH"
    assert (host["rung"], host["best_rung"]) == ("bpf_btf", True)
    assert host["refused_rungs"] == [
        {"rung": "bpf_btf", "reason": "BTF_MISSING", "detail": "no vmlinux"}
    ]
    assert (host["heartbeat_age_seconds"], host["events_lost"]) == (5.0, 5)
    assert (host["connected"], unserved["connected"]) == (True, False)
