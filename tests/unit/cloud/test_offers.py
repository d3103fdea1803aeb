"""Which content for which host: the table of decisions, and what must never be decided."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.offers import (
    REFUSED,
    RUNNING,
    Active,
    Decision,
    Host,
    HostContent,
    Release,
    Standing,
    decide,
    may_have,
    next_to_check,
)
from cloud.refusals import Refusal

MISFIT = (Refusal("ARITY_MISMATCH", "template_type.arity", "21", "20"),)
EMPTY_HOST = Host({}, {})


def release(version: int, template_type: int = 4, *, push: int | None = None) -> Release:
    """A release with a hash of its own, pushed in the order of its version."""
    name = f"{template_type}/{version}".encode().ljust(32, b".")
    return Release(name, template_type, version, 100, version if push is None else push)


def settled(
    releases: list[Release], host: Host, misfits: set[bytes], *, unsafe: bool = False
) -> tuple[Decision, list[bytes]]:
    """The decision as the dispatcher comes to it, and what had to be checked for it."""
    fits: dict[bytes, tuple[Refusal, ...]] = {}
    while one := next_to_check(releases, host, fits, unsafe=unsafe):
        fits[one.content_hash] = MISFIT if one.content_hash in misfits else ()
    return decide(releases, host, fits, unsafe=unsafe), list(fits)


def offered(decision: Decision) -> list[tuple[int, int]]:
    """Template Type and version of each offer."""
    return [(one.template_type, one.version) for one in decision.offers]


def test_the_highest_version_of_each_type_is_offered() -> None:
    """A host would get outdated content, or several versions of one type."""
    releases = [release(1), release(3), release(2), release(1, template_type=1)]
    decision, _ = settled(releases, EMPTY_HOST, set())
    assert sorted(offered(decision)) == [(1, 1), (4, 3)]


def test_a_host_that_runs_the_newest_is_offered_nothing_and_costs_no_check() -> None:
    """Every heartbeat would lead to offers and validations."""
    host = Host({4: Active(3, release(3).content_hash)}, {})
    decision, checked = settled([release(1), release(2), release(3)], host, set())
    assert decision == Decision()
    assert checked == []


def test_what_does_not_fit_is_withheld_and_the_next_that_fits_is_offered() -> None:
    """A sensor would be offered what it must refuse, or get nothing at all."""
    releases = [release(1), release(2), release(3)]
    decision, checked = settled(releases, EMPTY_HOST, {release(3).content_hash})
    assert offered(decision) == [(4, 2)]
    assert decision.withheld == ((release(3), MISFIT),)
    assert checked == [release(3).content_hash, release(2).content_hash]


def test_what_was_not_checked_is_not_offered() -> None:
    """A release that slipped in between check and decision would bypass the validator."""
    assert decide([release(1)], EMPTY_HOST, {}, unsafe=False) == Decision()


@pytest.mark.parametrize("standing", sorted(REFUSED))
def test_what_a_host_has_given_up_is_offered_again_only_after_another_push(
    standing: Standing,
) -> None:
    """A host would be offered in a circle what it refuses, or never what an operator insists on."""
    one = release(2)
    host = Host({}, {one.content_hash: HostContent(standing, one.push)})
    assert offered(settled([one], host, set())[0]) == []
    again = replace(one, push=7)
    assert offered(settled([again], host, set())[0]) == [(4, 2)]


@pytest.mark.parametrize("standing", sorted(set(Standing) - REFUSED - RUNNING))
def test_what_was_interrupted_is_offered_again(standing: Standing) -> None:
    """A connection that broke during a fetch would leave the host unprotected."""
    one = release(1)
    host = Host({}, {one.content_hash: HostContent(standing, one.push)})
    assert offered(settled([one], host, set())[0]) == [(4, 1)]


def test_a_revoked_release_is_withdrawn_where_it_may_be_and_never_offered() -> None:
    """Harmful content would stay on hosts that keep it as their previous version."""
    revoked = replace(release(2), revoked=True)
    hosts = {
        "runs it": Host({4: Active(2, revoked.content_hash)}, {}),
        "had it": Host({}, {revoked.content_hash: HostContent(Standing.ACCEPTED, 2)}),
        "gets it": Host({}, {revoked.content_hash: HostContent(Standing.OFFERED, 2)}),
        "refused it": Host({}, {revoked.content_hash: HostContent(Standing.REJECTED, 2)}),
        "never had it": EMPTY_HOST,
    }
    decisions = {name: settled([revoked], host, set())[0] for name, host in hosts.items()}
    assert {name for name, one in decisions.items() if one.withdrawals} == {
        "runs it",
        "had it",
        "gets it",
    }
    assert not any(one.offers for one in decisions.values())


def test_after_a_revocation_the_one_before_is_offered_to_who_has_nothing() -> None:
    """Withdrawing a version would leave new hosts without any protection."""
    releases = [release(1), replace(release(2), revoked=True)]
    assert offered(settled(releases, EMPTY_HOST, set())[0]) == [(4, 1)]
    rolled_back = Host({4: Active(1, release(1).content_hash)}, {})
    assert offered(settled(releases, rolled_back, set())[0]) == []


def test_unsafe_content_is_forced_only_by_an_unsafe_cloud() -> None:
    """One of two flags alone would send a sensor what the validator refuses."""
    bad = replace(release(1), unsafe=True)
    host = Host({4: Active(5, b"x" * 32)}, {})
    assert settled([bad], host, {bad.content_hash})[0] == Decision()
    decision, checked = settled([bad], host, {bad.content_hash}, unsafe=True)
    assert offered(decision) == [(4, 1)]
    assert checked == []
    answered = Host({}, {bad.content_hash: HostContent(Standing.REJECTED, bad.push)})
    assert offered(settled([bad], answered, set(), unsafe=True)[0]) == []


RELEASES = st.lists(
    st.builds(
        Release,
        content_hash=st.integers(0, 7).map(lambda n: bytes([n]) * 32),
        template_type=st.integers(1, 2),
        version=st.integers(0, 4),
        size_bytes=st.just(1),
        push=st.integers(1, 9),
        unsafe=st.booleans(),
        revoked=st.booleans(),
    ),
    unique_by=lambda one: one.content_hash,
    max_size=8,
)
HASHES = st.integers(0, 7).map(lambda n: bytes([n]) * 32)
HOSTS = st.builds(
    Host,
    active=st.dictionaries(
        st.integers(1, 2), st.builds(Active, version=st.integers(0, 4), content_hash=HASHES)
    ),
    content=st.dictionaries(
        HASHES,
        st.builds(HostContent, standing=st.sampled_from(Standing), push=st.integers(1, 9)),
    ),
)


@given(RELEASES, HOSTS, st.sets(HASHES), st.booleans())
def test_no_decision_breaks_a_promise(
    releases: list[Release],
    host: Host,
    misfits: set[bytes],
    unsafe: bool,  # noqa: FBT001
) -> None:
    """Revoked, misfitting, older or refused content would reach a host in some odd combination."""
    decision, _ = settled(releases, host, misfits, unsafe=unsafe)
    by_rule = [one for one in decision.offers if not (unsafe and one.unsafe)]
    for one in by_rule:
        active = host.active.get(one.template_type)
        known = host.content.get(one.content_hash)
        assert one.content_hash not in misfits
        assert active is None or one.version > active.version
        assert known is None or known.standing not in REFUSED or known.push < one.push
    types = [one.template_type for one in by_rule]
    assert len(types) == len(set(types))
    assert not any(one.revoked for one in decision.offers)
    assert {one.content_hash for one, _ in decision.withheld} <= misfits
    revoked = {one.content_hash for one in releases if one.revoked}
    assert set(decision.withdrawals) == {one for one in revoked if may_have(one, host)}
