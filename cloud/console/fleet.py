"""The fleet at a glance: counts over `cloud.views.fleet`, and the hosts in trouble first. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloud.store.policies import EVERY_CATEGORY, Policies

Document = Mapping[str, Any]
NOTHING = "nothing active"
GIVEN_UP = frozenset({"rejected", "quarantined", "rolled_back"})
"""Standings of content that a host does not run because of what it found out."""


@dataclass(frozen=True, slots=True)
class Glance:
    """Numbers of hosts, each over all of them. versions: by Template Type and version."""

    hosts: int
    connected: int
    reduced: int
    prevention_off: int
    deaths: int
    lost: int
    rings: Mapping[str, int]
    rungs: Mapping[str, int]
    versions: Mapping[str, int]
    sensors: Mapping[str, int]


def glance(hosts: Sequence[Document], policies: Policies) -> Glance:
    """What the first lines of the page say."""
    return Glance(
        hosts=len(hosts),
        connected=sum(one["connected"] for one in hosts),
        reduced=sum(one["reduced_functionality"] for one in hosts),
        prevention_off=sum(one["prevention"] == "off" for one in hosts),
        deaths=sum(one["evaluator_deaths"] for one in hosts),
        lost=sum(one["events_lost"] for one in hosts),
        rings=_counts(Counter(ring(one["agent_id"], policies) for one in hosts)),
        rungs=_counts(Counter(one["rung"] for one in hosts)),
        versions=_counts(Counter(name for one in hosts for name in _active(one))),
        sensors=_counts(Counter(one["sensor_version"] for one in hosts)),
    )


def ring(agent_id: str, policies: Policies) -> str:
    """The ring of a host, for content without a policy of its own."""
    return policies.of(agent_id, EVERY_CATEGORY).ring.value


def trouble(host: Document) -> tuple[bool, bool, int, int, str]:
    """Sorts hosts: those that have trouble first."""
    given_up = sum(one["state"] in GIVEN_UP for one in host["content"])
    return (
        not host["reduced_functionality"],
        host["connected"],
        -given_up,
        -int(host["evaluator_deaths"]),
        str(host["agent_id"]),
    )


def _active(host: Document) -> list[str]:
    return [f"{one['template_type']} {one['version']}" for one in host["active"]] or [NOTHING]


def _counts(counter: Counter[str]) -> Mapping[str, int]:
    return dict(counter.most_common())
