"""What the link is told of the sensor: who it is, at the start of a session, and how it does."""

from typing import Any

from agent.supervisor.manifest_document import active_documents
from agent.supervisor.prevention import Policy
from agent.supervisor.status import StatusSources, reduced
from agent.supervisor.verdicts import Outcome


def identity(sources: StatusSources) -> dict[str, Any]:
    """The fields of the message `identity`."""
    return {
        "agent": sources.settings.agent_id,
        "run": sources.run,
        "rung": sources.collecting.rung,
        "refused": list(sources.collecting.refused),
        "not_collected": sorted(sources.joining.needs.given_up()),
        "boot_id": sources.boot_id,
        "active": active_documents(sources.flow.manifest),
    }


def state(sources: StatusSources) -> dict[str, Any]:
    """The fields of the message `state`, which heartbeats to the cloud are made of."""
    stopped = sources.prevention.stopped + sources.judging.verdicts[Outcome.STOPPED]
    active = active_documents(sources.flow.manifest)
    names = [file["hash"] for file in active]
    facts = {
        "events_evaluated": sources.judging.evaluated,
        "events_lost": sources.ledger.events,
        "evaluator_deaths": sources.judging.deaths,
        "reduced_functionality": int(bool(reduced(sources))),
        "uptime_ms": int(sources.uptime_seconds * 1000),
        "prevention_off": int(sources.prevention.policy is Policy.OFF),
        "programs_stopped": stopped,
        **sources.judging.evaluations.facts(names, sources.evaluators.worker),
    }
    return {"facts": facts, "active": active}
