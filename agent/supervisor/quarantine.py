"""The quarantine as operators see it: what is in it and why, and lifting it. No restart is needed.

Lifted by the digest of an instance or the hash of a file. An instance is run again by the next
evaluator, which is started at once, as the wanted set has changed; its deaths count from zero. A
file that is lifted is not put in force by that: it is accepted again once it is pushed anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.deaths import DeathHistory, Decision
from agent.supervisor.content_flow import ContentFlow
from agent.supervisor.log import Log
from agent.supervisor.manifest import QuarantinedInstance

INSTANCE_QUARANTINED = "INSTANCE_QUARANTINED"
"""Why an evaluator leaves an instance out; content.reasons explains it."""

Command = Callable[[Mapping[str, Any]], dict[str, Any]]


def leave_out(flow: ContentFlow, decision: Decision, template_type: int, reason: str) -> bool:
    """Quarantine the suspect instance, whatever file it comes in; False where there is no room.

    Which files it is in is said by the next evaluator, which leaves it out.
    """
    if not flow.manifest.has_room:
        return False
    one = QuarantinedInstance(
        digest=decision.suspect_digest,
        instance=decision.suspect_instance,
        template_type=template_type,
        file=decision.suspect_hash,
        reason=reason,
        since=int(flow.wall()),
        deaths=decision.deaths,
    )
    flow.put_in_force(flow.manifest.leave_out(one))
    return True


def lift(flow: ContentFlow, name: str) -> str | None:
    """Lift one by its digest or hash; whether it was an `instance` or a `file`, None if neither."""
    instances = [one for one in flow.manifest.instances if one.digest == name]
    manifest = flow.manifest.lift(name)
    if manifest == flow.manifest:
        return None
    flow.put_in_force(manifest)
    for one in instances:
        flow.no_longer_skipped(one.template_type, one.instance, INSTANCE_QUARANTINED)
    return "instance" if instances else "file"


def told(flow: ContentFlow, reason: str, detail: str) -> str:
    """The detail of a fault as the cloud is told it: of a quarantine, what we know of its reason.

    The evaluator says no more than the digest, and is not trusted even with that.
    """
    known = next((one for one in flow.manifest.instances if one.digest == detail), None)
    if reason != INSTANCE_QUARANTINED or known is None:
        return detail
    return f"{known.deaths} evaluators died on it, the last of {known.reason}; digest {detail}"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The commands of the control socket."""

    flow: ContentFlow
    history: DeathHistory
    log: Log

    def commands(self) -> dict[str, Command]:
        """By name, as requests have it."""
        return {"quarantine": self.listed, "lift": self.lift}

    def listed(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        """Files and instances, oldest first. `since` is Unix time in seconds, 0 if unknown."""
        manifest = self.flow.manifest
        return {
            "files": [{**asdict(one), "state": str(one.state)} for one in manifest.quarantine],
            "instances": [asdict(one) for one in manifest.instances],
        }

    def lift(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """`{"digest": ...}`: of an instance, or the hash of a file."""
        name = request.get("digest")
        kind = lift(self.flow, name) if isinstance(name, str) else None
        if kind is None:
            return {"error": "NOT_IN_QUARANTINE", "found": f"{name!r:.80}"}
        self.history.pardon(str(name))
        self.log.say("quarantine lifted", digest=name, kind=kind)
        return {"lifted": name, "kind": kind}
