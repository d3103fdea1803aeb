"""What an operator sees, as JSON documents: fleet, detections, crash reports, loss reports.

Texts are as the agents sent them, but for bytes, which are escaped: whoever prints a document to a
terminal escapes its texts first. Times are ISO 8601 in UTC.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from bulkhead.v1.channel_file_pb2 import Disposition, FieldInput, Severity
from bulkhead.v1.report_pb2 import (
    ActiveChannelFile,
    ContentState,
    CrashReport,
    Detection,
    LossReport,
    Prevention,
    Role,
    Rung,
)
from cloud.offers import Release, Standing
from cloud.store import certificates, hosts, releases, reports
from cloud.store.certificates import Expelled
from cloud.store.tables import CRASHES, LOSSES
from content.escape import safe
from content.loss_causes import missing
from content.model import AddressPrefix
from content.template_type import Kind, TemplateType
from content.wire import value_from_proto

Types = Mapping[int, TemplateType]
Document = dict[str, Any]
BEST_RUNG = "bpf_btf"
NANOSECONDS = 1_000_000_000
PROCESSES_SHOWN = 16
"""Of one loss report, whatever an agent has sent."""
ATTEMPTS_SHOWN = 16
"""Kinds of attempt of one crash report, the same."""


@dataclass(frozen=True, slots=True)
class _FleetRows:
    """What the store holds of the fleet, read in one transaction."""

    known_hosts: Sequence[hosts.HostRow]
    active: Mapping[str, Sequence[ActiveChannelFile]]
    content: Mapping[str, Sequence[hosts.ContentRow]]
    releases: Mapping[bytes, Release]
    pushed: Mapping[bytes, tuple[int, int]]
    crashes: Mapping[str, int]
    losses: Mapping[str, int]
    shown: Mapping[str, tuple[str, int]]
    expelled: Expelled


def fleet(store: Connection, types: Types, now_ns: int, *, served: bool) -> Document:
    """Hosts and releases; nobody is connected to a cloud that isn't `served`."""
    known = releases.all_releases(store)
    rows = _FleetRows(
        known_hosts=hosts.all_hosts(store),
        active=hosts.active_files(store),
        content=_by_host(hosts.content_rows(store)),
        releases={one.content_hash: one for one in known},
        pushed=releases.instance_counts(store),
        crashes=reports.totals(store, CRASHES),
        losses=reports.totals(store, LOSSES),
        shown=certificates.shown(store),
        expelled=certificates.expelled(store),
    )
    return {
        "serving": served,
        "hosts": [_host(one, rows, types, now_ns, served=served) for one in rows.known_hosts],
        "content": [_release(one, rows, types) for one in known],
    }


def detection(stored: reports.Stored[Detection], types: Types) -> Document:
    """One detection, its inputs by field name."""
    report = stored.report
    template_type = types.get(report.template_type)
    return _stored(stored) | {
        "time": moment(report.time_unix_ns),
        "template_type": type_name(report.template_type, types),
        "instance": report.instance_id,
        "version": report.channel_file_version,
        "disposition": enum_name(Disposition, report.disposition),
        "prevention": enum_name(Prevention, report.prevention) if report.prevention else "",
        "severity": enum_name(Severity, report.severity),
        "title": report.title,
        "attack_techniques": list(report.attack_techniques),
        "rung": enum_name(Rung, report.rung),
        "sequence": report.sequence,
        "own_activity": report.own_activity,
        "inputs": dict(_inputs(report.inputs, template_type)),
        "truncated": [_field_name(number, template_type) for number in report.truncated_fields],
    }


def crash(stored: reports.Stored[CrashReport], types: Types) -> Document:
    """One crash report."""
    report = stored.report
    return _stored(stored) | {
        "time": moment(report.time_unix_ns),
        "role": enum_name(Role, report.role),
        "signal": report.signal,
        "exit_code": report.exit_code,
        "cause": report.cause,
        "suspect_content_hash": report.suspect_content_hash.hex(),
        "suspect_template_type": type_name(report.suspect_template_type, types),
        "suspect_instance": report.suspect_instance_id,
        "suspect_instance_digest": report.suspect_instance_digest.hex(),
        "suspect_sequence": report.suspect_sequence,
        "action": report.action,
        "in_trial": report.in_trial,
        "attempts": {one.name: one.count for one in report.attempts[:ATTEMPTS_SHOWN]},
    }


def loss(stored: reports.Stored[LossReport], types: Types) -> Document:
    """One loss report."""
    report = stored.report
    return _stored(stored) | {
        "from": moment(report.from_unix_ns),
        "to": moment(report.to_unix_ns),
        "cause": report.cause,
        "template_type": loss_type_name(report.template_type, types),
        "count": report.count,
        "missing": missing(report.cause),
        "processes": [
            {"pid": one.pid, "start_time": one.start_time, "refused": one.refused}
            for one in report.processes[:PROCESSES_SHOWN]
        ],
    }


def loss_total(total: reports.LossTotal, types: Types) -> Document:
    """The sum of a host's loss reports with one cause."""
    return {
        "agent_id": total.agent_id,
        "from": moment(total.from_unix_ns),
        "to": moment(total.to_unix_ns),
        "cause": total.cause,
        "template_type": loss_type_name(total.template_type, types),
        "count": total.count,
        "missing": missing(total.cause),
    }


def moment(unix_ns: int) -> str:
    """Nanoseconds since the epoch as ISO 8601, milliseconds; a number that is no time stays one."""
    try:
        found = datetime.fromtimestamp(unix_ns / NANOSECONDS, UTC)
    except (OverflowError, OSError, ValueError):
        return str(unix_ns)
    return found.isoformat(timespec="milliseconds")


def type_name(number: int, types: Types) -> str:
    """The Template Type's name, or its number where the cloud doesn't know it."""
    return types[number].name if number in types else str(number)


def loss_type_name(number: int, types: Types) -> str:
    """The same for a loss, which may concern all Template Types (0)."""
    return type_name(number, types) if number else "any"


def enum_name(enum: Any, number: int) -> str:
    """The short lower-case name of a protobuf enum's value, or its number."""
    if number not in enum.values():
        return str(number)
    prefix = enum.Name(0).removesuffix("UNSPECIFIED")
    return str(enum.Name(number)).removeprefix(prefix).lower()


def _host(
    row: hosts.HostRow, rows: _FleetRows, types: Types, now_ns: int, *, served: bool
) -> Document:
    hello, beat = row.hello, row.heartbeat
    agent_id = hello.agent_id
    active = rows.active.get(agent_id, ())
    rung = enum_name(Rung, beat.rung or hello.rung)
    return {
        "agent_id": agent_id,
        "connected": served and bool(row.session),
        **_certificate(agent_id, rows),
        "rung": rung,
        "best_rung": rung == BEST_RUNG,
        "refused_rungs": [
            {"rung": enum_name(Rung, one.rung), "reason": one.reason, "detail": one.detail}
            for one in hello.refused_rungs
        ],
        "reduced_functionality": beat.reduced_functionality,
        "prevention": "off" if beat.prevention_off else "on",
        "programs_stopped": beat.programs_stopped,
        "deliveries_refused": beat.deliveries_refused,
        "last_refusal": safe(beat.last_refusal),
        "sensor_version": hello.sensor_version,
        "platform": hello.platform,
        "boot_id": hello.boot_id,
        "first_seen": moment(row.first_seen_unix_ns),
        "heartbeat_age_seconds": max(0.0, (now_ns - row.last_seen_unix_ns) / NANOSECONDS),
        "uptime_seconds": beat.uptime_ms / 1000,
        "active": [_active(file, types) for file in active],
        "content": [_content(one, rows, types) for one in _of_host(rows, agent_id, active)],
        "events_evaluated": beat.events_evaluated,
        "events_lost": beat.events_lost,
        "events_reported_lost": rows.losses.get(agent_id, 0),
        "evaluator_deaths": beat.evaluator_deaths,
        "crash_reports": rows.crashes.get(agent_id, 0),
    }


def _certificate(agent_id: str, rows: _FleetRows) -> Document:
    """The certificate that a host has shown last, and whether anything is still said to it."""
    serial, ends = rows.shown.get(agent_id, ("", 0))
    return {
        "expelled": rows.expelled.includes(agent_id, serial),
        "certificate": serial,
        "certificate_expires": moment(ends * NANOSECONDS) if serial else "",
    }


def _of_host(
    rows: _FleetRows, agent_id: str, active: Iterable[ActiveChannelFile]
) -> list[hosts.ContentRow]:
    """Where releases stand on a host, without what is withheld but no longer wanted."""
    versions = {file.template_type: file.version for file in active}
    found = []
    for row in rows.content.get(agent_id, ()):
        release = rows.releases.get(row.content_hash)
        if release is None:
            continue
        newer = release.version > versions.get(release.template_type, -1)
        if row.standing is not Standing.WITHHELD or (newer and not release.revoked):
            found.append(row)
    return found


def _by_host(rows: Iterable[hosts.ContentRow]) -> dict[str, list[hosts.ContentRow]]:
    found: dict[str, list[hosts.ContentRow]] = {}
    for row in rows:
        found.setdefault(row.agent_id, []).append(row)
    return found


def _active(file: ActiveChannelFile, types: Types) -> Document:
    return {
        "template_type": type_name(file.template_type, types),
        "version": file.version,
        "content_hash": file.content_hash.hex(),
        "state": enum_name(ContentState, file.state),
    }


def _content(row: hosts.ContentRow, rows: _FleetRows, types: Types) -> Document:
    release = rows.releases[row.content_hash]
    return {
        "content_hash": row.content_hash.hex(),
        "template_type": type_name(release.template_type, types),
        "version": release.version,
        "state": row.standing.value,
        "changed": moment(row.changed_unix_ns),
        "problems": [asdict(refusal) for refusal in row.refusals],
    }


def _release(release: Release, rows: _FleetRows, types: Types) -> Document:
    instances, pushed_unix_ns = rows.pushed[release.content_hash]
    return {
        "content_hash": release.content_hash.hex(),
        "template_type": type_name(release.template_type, types),
        "version": release.version,
        "instances": instances,
        "size_bytes": release.size_bytes,
        "pushed": moment(pushed_unix_ns),
        "revoked": release.revoked,
        "unsafe": release.unsafe,
    }


def _stored(stored: reports.Stored[Any]) -> Document:
    return {
        "number": stored.number,
        "agent_id": stored.agent_id,
        "id": stored.report.id,
        "received": moment(stored.received_unix_ns),
    }


def _inputs(
    inputs: Iterable[FieldInput], template_type: TemplateType | None
) -> Iterable[tuple[str, str | int | None]]:
    for one in inputs:
        value = value_from_proto(one.value)
        shown: str | int | None
        if isinstance(value, bytes):
            shown = safe(value)
        elif isinstance(value, AddressPrefix):
            shown = str(value).partition("/")[0]
        else:
            shown = _named(value, one.field, template_type)
        yield _field_name(one.field, template_type), shown


def _named(value: int | None, number: int, template_type: TemplateType | None) -> str | int | None:
    """The name of an enum's value, any other number as it is."""
    if value is None or template_type is None or not 1 <= number <= template_type.arity:
        return value
    field = template_type.field(number)
    if field.kind is not Kind.ENUM:
        return int(value)
    names = {number: name for name, number in field.values.items()}
    return names.get(value, int(value))


def _field_name(number: int, template_type: TemplateType | None) -> str:
    if template_type is None or not 1 <= number <= template_type.arity:
        return f"field_{number}"
    return template_type.field(number).name
