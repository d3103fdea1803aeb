"""The status document: how the sensor is, verified now, for people and programs. Pure reading."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from agent.supervisor.collecting import Collecting
from agent.supervisor.content_flow import ContentFlow
from agent.supervisor.evaluator_process import Evaluator, Stage
from agent.supervisor.evaluators import Evaluators
from agent.supervisor.joining import Joining
from agent.supervisor.judging import Judging
from agent.supervisor.ledger import Ledger
from agent.supervisor.linking import Linking
from agent.supervisor.manifest import Quarantined
from agent.supervisor.manifest_document import active_documents
from agent.supervisor.needs import Needs
from agent.supervisor.prevention import Prevention
from agent.supervisor.reports import Reports
from agent.supervisor.seeding import Seeding
from agent.supervisor.settings import RUNGS_WITHOUT_START_TIME, Settings
from content.signing_domains import key_id


@dataclass(frozen=True, slots=True)
class StatusSources:
    """The parts that the status is read from."""

    settings: Settings
    run: str
    boot_id: str
    uptime_seconds: float
    flow: ContentFlow
    evaluators: Evaluators
    collecting: Collecting
    joining: Joining
    seeding: Seeding
    linking: Linking
    judging: Judging
    ledger: Ledger
    prevention: Prevention
    reports: Reports
    attempts: Mapping[str, int]

    @property
    def protecting(self) -> bool:
        """Whether events are collected now, and evaluated with content, where there is any."""
        worker = self.evaluators.worker
        if self.collecting.collection is None or worker is None:
            return False
        return bool(worker.files) or not self.flow.manifest.active


def snapshot(sources: StatusSources) -> dict[str, Any]:
    """One JSON document; docs/command-line.md describes its members."""
    reasons = reduced(sources)
    return {
        "agent_id": sources.settings.agent_id,
        "version": _version(),
        "run": sources.run,
        "boot_id": sources.boot_id,
        "uptime_ms": int(sources.uptime_seconds * 1000),
        "rung": sources.collecting.rung,
        "refused_rungs": [dict(one) for one in sources.collecting.refused],
        "protecting": sources.protecting,
        "reduced_functionality": bool(reasons),
        "reduced_because": reasons,
        "roles": _roles(sources),
        "collection": _collection(sources),
        "template_types": _template_types(sources),
        "content": _content(sources.flow),
        "trust": _trust(sources),
        "events": _events(sources),
        "losses": sources.ledger.documents(),
        "loss_records": [dict(facts) for facts in sources.ledger.records],
        "attempts": dict(sorted(sources.attempts.items())),
        "deaths": [dict(facts) for facts in sources.judging.recent],
        "prevention": sources.prevention.document(),
        "inquests": sources.judging.inquests.under_way,
        "verdicts": dict(sources.judging.verdicts),
        "reports": {"waiting": sources.reports.waiting, "dropped": sources.reports.dropped},
    }


def reduced(sources: StatusSources) -> list[str]:
    """Why the sensor does less than it could; empty if it does all."""
    reasons = []
    collecting, working = sources.collecting, sources.flow.working
    if collecting.collection is None:
        reasons.append("NO_COLLECTION")
    elif collecting.lowered:
        reasons.append(f"RUNG_{collecting.rung.upper()}")
        if collecting.rung in RUNGS_WITHOUT_START_TIME:
            reasons.append("PREVENT_OFF")
    further = {
        "TEMPLATE_TYPE_NOT_COLLECTED": sources.joining.needs.given_up(),
        "RUNNING_PROCESSES_NOT_JUDGED": sources.seeding.failed,
        "NO_EVALUATOR": sources.evaluators.worker is None,
        "CONTENT_UNSERVED": working.unserved,
        "INSTANCES_SKIPPED": sources.flow.skipped,
        "CONTENT_OFF": working.degraded,
        "CONTENT_SEARCHED": working.search,
        "NOT_ROOT": os.geteuid() != 0,
    }
    return [*reasons, *(reason for reason, holds in further.items() if holds)]


def _content(flow: ContentFlow) -> dict[str, Any]:
    return {
        "active": active_documents(flow.manifest),
        "unserved": {name: list(found) for name, found in flow.working.unserved.items()},
        "skipped": {name: list(found.values()) for name, found in flow.skipped.items()},
        "waiting": len(flow.waiting),
        "on_trial": flow.on_trial.hash if flow.on_trial else "",
        "quarantine": [_quarantined(one) for one in flow.manifest.quarantine],
        "quarantined_instances": [asdict(one) for one in flow.manifest.instances],
    }


def _roles(sources: StatusSources) -> dict[str, Any]:
    members = sources.evaluators.members
    standby = [one for one in members if one.stage in (Stage.LOADING, Stage.READY)]
    link = sources.linking.child
    collector = sources.collecting.child or sources.joining.child or sources.seeding.child
    worker = sources.evaluators.worker
    return {
        "supervisor": {"pid": os.getpid()},
        "collector": {
            "pid": collector.pid if collector else None,
            "state": _collector_state(sources),
        },
        "evaluator": _evaluator(worker) if worker else None,
        "standby": [_evaluator(one) for one in standby],
        "link": {"pid": link.pid, **sources.linking.facts} if link else None,
    }


def _collector_state(sources: StatusSources) -> str:
    collecting = sources.collecting
    if sources.joining.child is not None:
        return "joins"
    if collecting.child is not None:
        return "polls" if collecting.collection else "attaches"
    if sources.seeding.child is not None:
        return "looks at processes that ran already"
    return "attached and gone" if collecting.collection else "missing"


def _evaluator(one: Evaluator) -> dict[str, Any]:
    return {
        "pid": one.child.pid,
        "stage": str(one.stage),
        "files": sorted(file.hash for file in one.files),
        "sandbox": one.facts.get("sandbox", {}),
        "on_trial": one.candidate is not None,
    }


def _collection(sources: StatusSources) -> dict[str, Any] | None:
    collection = sources.collecting.collection
    if collection is None:
        return None
    return {
        "epoch": collection.epoch,
        "probes": list(collection.probes),
        "attachments": len(collection.attachments),
        "seeding": sources.seeding.document(),
        "rings": {
            str(number): {
                "produced": ring.produced() // ring.stride,
                "accounted": ring.position // ring.stride,
                "bytes": ring.size,
            }
            for number, ring in collection.rings.items()
        },
    }


def _template_types(sources: StatusSources) -> dict[str, Any]:
    """What is collected and what for, and what is needed and is not collected."""
    needs, collected = sources.joining.needs, sources.joining.collected()
    missing = [number for number in needs.why if number not in collected]
    return {
        "collected": {
            str(n): [str(why) for why in needs.why.get(n, ())] for n in sorted(collected)
        },
        "leaving": sorted(sources.joining.leaving),
        "missing": {str(number): _missing(needs, number) for number in missing},
    }


def _trust(sources: StatusSources) -> dict[str, Any]:
    trust = sources.flow.trust
    return {
        "version": trust.version,
        "targets_keys": [key_id(raw) for raw in trust.targets.keys],
        "threshold": trust.targets.threshold,
        "customer_keys": [key_id(raw) for raw in trust.customer],
        "group": sources.flow.group,
    }


def _missing(needs: Needs, number: int) -> dict[str, Any]:
    trouble = needs.trouble.get(number)
    return {
        "why": [str(why) for why in needs.why[number]],
        "reason": trouble.reason if trouble else "NOT_YET",
        "detail": trouble.detail if trouble else "",
        "failures": trouble.failures if trouble else 0,
        "given_up": trouble is not None and trouble.given_up,
    }


def _events(sources: StatusSources) -> Mapping[str, int]:
    collection = sources.collecting.collection
    return {
        "produced": collection.produced_events() if collection else 0,
        "evaluated": sources.judging.evaluated,
        "backlog": collection.backlog_events() if collection else 0,
        "lost": sources.ledger.events,
        "detections": sources.judging.detections,
    }


@cache
def _version() -> str:
    """Ours; finding it out reads folders and files."""
    return version("bulkhead")


def _quarantined(one: Quarantined) -> dict[str, Any]:
    return {
        "hash": one.hash,
        "template_type": one.template_type,
        "version": one.version,
        "state": str(one.state),
        "reason": one.reason,
        "instance": one.instance,
    }
