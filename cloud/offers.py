"""Which Channel File for which host: pure decisions, no I/O.

For every Template Type a host is offered the highest version that is newer than its active one,
that fits what the sensor supplies, that is not revoked and that the host has not refused. What
would be newer and does not fit is withheld, with the reasons. What was revoked is withdrawn from
every host that may have it.

A cloud that was told to skip its validator also offers whatever was pushed unsafely, fit or not,
older or not: the sensor has to refuse it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cloud.refusals import Refusal


class Standing(StrEnum):
    """Where a release stands on a host; from RECEIVED on it is what the sensor acknowledged."""

    WITHHELD = "withheld"
    OFFERED = "offered"
    RECEIVED = "received"
    VERIFIED = "verified"
    TRIAL = "trial"
    ACTIVE = "active"
    ACCEPTED = "accepted"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"
    ROLLED_BACK = "rolled_back"
    # It did not arrive as the signed metadata say, which is no verdict on it: the next session
    # offers it again.
    UNDELIVERED = "undelivered"


REFUSED = frozenset({Standing.REJECTED, Standing.QUARANTINED, Standing.ROLLED_BACK})
"""The host has given this release up; it isn't offered again unless it is pushed again."""

RUNNING = frozenset({Standing.ACTIVE, Standing.ACCEPTED})
IN_PROGRESS = frozenset({Standing.OFFERED, Standing.RECEIVED, Standing.VERIFIED, Standing.TRIAL})
"""The agent has it and has not finished: offering again after a reconnection changes nothing."""

SETTLED = REFUSED | RUNNING | {Standing.SUPERSEDED, Standing.WITHHELD, Standing.UNDELIVERED}
"""Nothing more will happen to this release on this host by itself, but for probation."""

NEVER_THERE = frozenset({Standing.WITHHELD, Standing.UNDELIVERED}) | REFUSED
"""Standings in which a host has nothing that a revocation could withdraw."""


@dataclass(frozen=True, slots=True)
class Release:
    """A Channel File as pushed; `push` rises with every push, a repeated one included."""

    content_hash: bytes
    template_type: int
    version: int
    size_bytes: int
    push: int
    unsafe: bool = False
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Active:
    """What a host runs for one Template Type."""

    version: int
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class HostContent:
    """Where a release stands on one host, as of which push."""

    standing: Standing
    push: int


@dataclass(frozen=True, slots=True)
class Host:
    """What is known of one host: active content by Template Type, standings by content hash."""

    active: Mapping[int, Active]
    content: Mapping[bytes, HostContent]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to tell a host, and what is kept from it."""

    offers: tuple[Release, ...] = ()
    withheld: tuple[tuple[Release, tuple[Refusal, ...]], ...] = ()
    withdrawals: tuple[bytes, ...] = ()


Fits = Mapping[bytes, Sequence[Refusal]]
"""By content hash: why a release does not fit the sensor; empty if it does."""


def candidates(releases: Iterable[Release], host: Host, *, unsafe: bool) -> tuple[Release, ...]:
    """Releases whose fit decides something for this host, highest version first."""
    wanted = [
        release
        for release in releases
        if not release.revoked
        and not _skips_checks(release, unsafe=unsafe)
        and _is_newer(release, host)
        and not _refused(release, host)
    ]
    return tuple(sorted(wanted, key=lambda release: (-release.version, -release.push)))


def next_to_check(
    releases: Sequence[Release], host: Host, fits: Fits, *, unsafe: bool
) -> Release | None:
    """The next release whose fit `decide` needs to know and `fits` does not say, if any."""
    chosen: set[int] = set()
    for release in candidates(releases, host, unsafe=unsafe):
        if release.template_type in chosen:
            continue
        if release.content_hash not in fits:
            return release
        if not fits[release.content_hash]:
            chosen.add(release.template_type)
    return None


def decide(releases: Sequence[Release], host: Host, fits: Fits, *, unsafe: bool) -> Decision:
    """What to offer, withhold and withdraw, once `next_to_check` has nothing left to ask.

    A release that `fits` does not name was not checked, and is not offered.
    """
    chosen: dict[int, Release] = {}
    withheld: list[tuple[Release, tuple[Refusal, ...]]] = []
    for release in candidates(releases, host, unsafe=unsafe):
        if release.template_type in chosen or release.content_hash not in fits:
            continue
        if refusals := tuple(fits[release.content_hash]):
            withheld.append((release, refusals))
        else:
            chosen[release.template_type] = release
    forced = [release for release in releases if _is_forced(release, host, unsafe=unsafe)]
    offers = sorted([*chosen.values(), *forced], key=lambda release: release.push)
    return Decision(tuple(offers), tuple(withheld), _withdrawals(releases, host))


def may_have(content_hash: bytes, host: Host) -> bool:
    """Whether a host may have this content: active, on its way, or kept to fall back to."""
    if any(active.content_hash == content_hash for active in host.active.values()):
        return True
    known = host.content.get(content_hash)
    return known is not None and known.standing not in NEVER_THERE


def _withdrawals(releases: Iterable[Release], host: Host) -> tuple[bytes, ...]:
    return tuple(
        release.content_hash
        for release in releases
        if release.revoked and may_have(release.content_hash, host)
    )


def _is_newer(release: Release, host: Host) -> bool:
    active = host.active.get(release.template_type)
    return active is None or release.version > active.version


def _refused(release: Release, host: Host) -> bool:
    known = host.content.get(release.content_hash)
    return known is not None and known.standing in REFUSED and known.push >= release.push


def _skips_checks(release: Release, *, unsafe: bool) -> bool:
    return unsafe and release.unsafe


def _is_forced(release: Release, host: Host, *, unsafe: bool) -> bool:
    if release.revoked or not _skips_checks(release, unsafe=unsafe):
        return False
    known = host.content.get(release.content_hash)
    return known is None or known.push < release.push or known.standing not in REFUSED | RUNNING
