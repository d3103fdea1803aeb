"""What each message of an open session does to the store: one table of kind and handler.

A handler checks its message (SessionError ends the session) and returns the job that stores it.
Storing is idempotent: reports are kept once by their ids, states are replaced, so that a message
that is sent again changes nothing.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bulkhead.v1.report_pb2 import (
    ActiveChannelFile,
    ContentAcknowledgement,
    ContentState,
    CrashReport,
    DetectionBatch,
    Heartbeat,
    LossReport,
)
from bulkhead.v1.sensor_service_pb2 import SessionRequest
from cloud import journal
from cloud.catalogue import Catalogue
from cloud.connections import AgentConnection
from cloud.errors import CloudReason, SessionError
from cloud.offers import IN_PROGRESS, RUNNING, HostContent, Release, Standing
from cloud.refusals import from_wire
from cloud.store import hosts, reports
from cloud.store.tables import CRASHES, DETECTIONS, LOSSES
from cloud.store.writer import Job
from cloud.wire import (
    require_active,
    require_evaluations,
    require_hash,
    require_known_fields,
    require_report_id,
    require_rung,
)

STANDINGS: Mapping[int, Standing] = MappingProxyType(
    {
        number: Standing(standing)
        for name, number in ContentState.items()
        if (standing := name.removeprefix("CONTENT_STATE_").lower()) in set(Standing)
    }
)
"""What an acknowledged state is called in the store."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a message leads to: a job for the store (None: nothing to store)."""

    job: Job | None
    changes_offers: bool = False
    """Whether another decision about this host is due once the job is done."""
    is_report: bool = False
    """Whether it may be stored later, by whomever, once it is kept."""


def effect_of(request: SessionRequest, connection: AgentConnection, catalogue: Catalogue) -> Effect:
    """What to do about one message after the hello; SessionError for whatever is not one."""
    require_known_fields(request)
    kind = request.WhichOneof("message") or "nothing"
    if kind in REPORTS:
        job = report_job(request, connection.agent_id, time.time_ns())
        return Effect(job, is_report=True)
    handler = HANDLERS.get(kind)
    if handler is None:
        expected = ", ".join((*HANDLERS, *REPORTS))
        raise SessionError(
            CloudReason.MESSAGE_INVALID,
            f"found {kind} in an open session, expected one of {expected}",
        )
    return handler(getattr(request, kind), connection, catalogue)


def _heartbeat(beat: Heartbeat, connection: AgentConnection, _: Catalogue) -> Effect:
    require_rung(beat.rung, "heartbeat.rung")
    require_active(beat.active, "heartbeat.active")
    require_evaluations(beat.evaluations, "heartbeat.evaluations")
    news = connection.learn_active(beat.active)
    job = hosts.Beats(connection.agent_id, connection.session, beat, time.time_ns(), news)
    return Effect(job, changes_offers=news)


def _acknowledgement(
    told: ContentAcknowledgement, connection: AgentConnection, catalogue: Catalogue
) -> Effect:
    standing = _standing(told)
    connection.end_turn()  # it has what it was offered, or won't
    release = catalogue.releases.get(told.content_hash)
    if release is None:
        journal.warning(
            "unknown_content_acknowledged",
            agent_id=connection.agent_id,
            content_hash=told.content_hash.hex(),
            standing=standing,
            reasons=",".join(one.reason for one in from_wire(told.problems)),
        )
        return Effect(None)
    push = connection.offered.get(release.content_hash, release.push)
    known = connection.host.content.get(release.content_hash)
    # From one step on its way to the next, nothing changes for anybody.
    on_its_way = known is not None and {known.standing, standing} <= IN_PROGRESS
    connection.learn_standing(release.content_hash, HostContent(standing, push))
    refusals, now_ns = from_wire(told.problems), time.time_ns()
    row = hosts.ContentRow(
        connection.agent_id, release.content_hash, standing, push, refusals, now_ns
    )
    running = [_active_file(release, told)] if standing in RUNNING else []
    for file in running:
        connection.learn_one_active(file)
    job = hosts.Stands(connection.agent_id, connection.session, [row], running)
    return Effect(job, changes_offers=not on_its_way)


def _standing(told: ContentAcknowledgement) -> Standing:
    require_hash(told.content_hash, "acknowledgement.content_hash")
    standing = STANDINGS.get(told.state)
    if standing is None:
        raise SessionError(
            CloudReason.MESSAGE_INVALID,
            f"acknowledgement.state: found {told.state}, expected a ContentState that is set",
        )
    return standing


def _active_file(release: Release, told: ContentAcknowledgement) -> ActiveChannelFile:
    return ActiveChannelFile(
        template_type=release.template_type,
        version=release.version,
        content_hash=release.content_hash,
        state=told.state,
    )


def report_job(request: SessionRequest, agent_id: str, now_ns: int) -> Job:
    """What stores a report of this agent; SessionError for what is none, or not as it must be."""
    require_known_fields(request)
    kind = request.WhichOneof("message") or "nothing"
    to_job = REPORTS.get(kind)
    if to_job is None:
        raise SessionError(
            CloudReason.MESSAGE_INVALID, f"found {kind}, expected one of {', '.join(REPORTS)}"
        )
    return to_job(getattr(request, kind), agent_id, now_ns)


def _detections(batch: DetectionBatch, agent_id: str, now_ns: int) -> Job:
    for index, detection in enumerate(batch.detections):
        require_report_id(detection.id, f"detections[{index}].id")
    rows = reports.detection_rows(agent_id, batch.detections, now_ns)
    return reports.Reported(DETECTIONS, rows)


def _crash(crash: CrashReport, agent_id: str, now_ns: int) -> Job:
    require_report_id(crash.id, "crash_report.id")
    return reports.Reported(CRASHES, [reports.crash_row(agent_id, crash, now_ns)])


def _loss(loss: LossReport, agent_id: str, now_ns: int) -> Job:
    require_report_id(loss.id, "loss_report.id")
    return reports.Reported(LOSSES, [reports.loss_row(agent_id, loss, now_ns)])


Handler = Callable[[Any, AgentConnection, Catalogue], Effect]

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "heartbeat": _heartbeat,
        "acknowledgement": _acknowledgement,
    }
)

REPORTS: Mapping[str, Callable[[Any, str, int], Job]] = MappingProxyType(
    {"detections": _detections, "crash_report": _crash, "loss_report": _loss}
)
"""Of an agent, received at a time in ns: what needs no answer but a receipt."""
