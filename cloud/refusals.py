"""Why content was refused, in one shape: by the validator here, or by a sensor that reports it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

from bulkhead.v1 import report_pb2
from cloud.limits import LIMITS
from content.problems import Problem


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason; texts may come from an agent, so they are escaped before they are shown."""

    reason: str
    place: str
    found: str
    expected: str


def from_problems(problems: Iterable[Problem]) -> tuple[Refusal, ...]:
    """What the Content Validator found."""
    return tuple(
        Refusal(problem.reason.value, problem.place, problem.found, problem.expected)
        for problem in problems
    )


def from_wire(problems: Sequence[report_pb2.Problem]) -> tuple[Refusal, ...]:
    """What a sensor reports, each text cut to its limit."""
    cap = LIMITS.problem_text
    return tuple(
        Refusal(one.reason_code[:cap], one.place[:cap], one.found[:cap], one.expected[:cap])
        for one in problems[: LIMITS.problems]
    )


def to_text(refusals: Sequence[Refusal]) -> str:
    """As the store keeps them."""
    return json.dumps([asdict(refusal) for refusal in refusals])


# Ten thousand hosts wait for the same stage, and say so in the same words. An agent's own can be of
# a hundred kilobytes, so few are held.
@lru_cache(64)
def from_text(text: str) -> tuple[Refusal, ...]:
    """What `to_text` wrote."""
    return tuple(Refusal(**document) for document in json.loads(text))
