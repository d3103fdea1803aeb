"""What hosts have shown since a rollout began, in sums: all that the engine gets to see.

Hosts are counted, never reports: however many crash reports one host sends, it is one host. Those
reached are compared with a control group, the hosts that got nothing new. What a host claims to
have evaluated counts up to a cap, so that no single one can vouch for a stage.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cloud.rollout.plan import GateLimits
from cloud.rollout.sign import UNWELL, Sign

VOUCHING_HOSTS = 10
"""So many hosts have to share a minimum of evaluations, where so many were reached."""

CONTROL_PERCENTILE = 90
LEAST_CONTROL = 10
"""A smaller control group says nothing about what latency and memory are usual."""

LARGEST_SAMPLE = 100_000
"""Of a larger control group every n-th host says as much."""


@dataclass(frozen=True, slots=True)
class Group:
    """So many hosts, of which so many were heard lately, and how many show each sign."""

    hosts: int
    heard: int
    signs: Mapping[Sign, int]

    def share(self, sign: Sign) -> float:
        """Of the hosts; 0 where there are none."""
        return self.signs.get(sign, 0) / self.hosts if self.hosts else 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one rollout, now.

    seats: hosts that may be reached in this stage. evaluations: by new Template Instance, capped.
    platforms_missing: platforms of which no host was reached that is well.
    """

    seats: int
    reached: Group
    control: Group
    evaluations: Mapping[str, int]
    platforms_missing: int = 0


@dataclass(frozen=True, slots=True)
class Columns:
    """One entry per host in each array; what is not known of a host is NaN.

    reached: it was offered the content. control: it was not, and has been heard since the rollout
    began. evaluations: by new instance, events that it was put to. platforms: a number per host, -1
    for hosts that can't be reached.
    """

    reached: NDArray[np.bool_]
    control: NDArray[np.bool_]
    signs: Mapping[Sign, NDArray[np.bool_]]
    evaluation_ns: NDArray[np.float64]
    memory_bytes: NDArray[np.float64]
    evaluations: Mapping[str, NDArray[np.int64]]
    platforms: NDArray[np.int64]


def collect(columns: Columns, seats: int, needed: int, limits: GateLimits) -> Evidence:
    """Sum up; `needed` is the stage's minimum of evaluations."""
    signs = dict(columns.signs)
    signs[Sign.SLOW] = _above(columns.evaluation_ns, columns, limits.evaluation_ns, limits)
    signs[Sign.HEAVY] = _above(columns.memory_bytes, columns, limits.memory_bytes, limits)
    reached = _group(columns.reached, signs)
    cap = max(1, -(-needed // max(1, min(reached.hosts, VOUCHING_HOSTS))))
    evaluations = {
        name: int(np.minimum(counts[columns.reached], cap).sum())
        for name, counts in columns.evaluations.items()
    }
    known = columns.reached & well(signs)
    within = columns.platforms >= 0
    missing = different(columns.platforms[within]) - different(columns.platforms[known & within])
    return Evidence(seats, reached, _group(columns.control, signs), evaluations, missing)


def different(numbers: NDArray[np.int64]) -> int:
    """How many different numbers there are; they are small and none is negative."""
    return int(np.count_nonzero(np.bincount(numbers)))


def well(signs: Mapping[Sign, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Hosts that can speak for their platform: heard, and without a death or a refusal."""
    troubled: NDArray[np.bool_] = np.any([signs[sign] for sign in UNWELL], axis=0)
    return ~troubled


def _above(
    values: NDArray[np.float64], columns: Columns, least: float, limits: GateLimits
) -> NDArray[np.bool_]:
    """Who is above the limit and well above what nine of ten hosts of the control group have."""
    control = values[columns.control]
    control = control[~np.isnan(control)]
    limit = least
    if len(control) >= LEAST_CONTROL:
        control = control[:: -(-len(control) // LARGEST_SAMPLE)]
        usual = float(np.percentile(control, CONTROL_PERCENTILE))
        limit = max(least, limits.times_control * usual)
    above: NDArray[np.bool_] = np.nan_to_num(values, nan=0.0) > limit
    return above


def _group(members: NDArray[np.bool_], signs: Mapping[Sign, NDArray[np.bool_]]) -> Group:
    counts = {sign: int(np.count_nonzero(found & members)) for sign, found in signs.items()}
    hosts = int(np.count_nonzero(members))
    return Group(hosts, hosts - counts.get(Sign.SILENT, 0), MappingProxyType(counts))
