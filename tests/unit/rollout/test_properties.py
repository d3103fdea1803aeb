"""What no evidence, no order and no fleet can bring about."""

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cloud.rollout.engine import Rollout, begin, halt, look, override, pause, promote, supersede
from cloud.rollout.evidence import Evidence, Group, collect
from cloud.rollout.gates import Outcome, judge
from cloud.rollout.policy import ContentUpdatePolicy, Offer, Ring, RolledOut, offer
from cloud.rollout.seats import draw, seats
from cloud.rollout.sign import Sign
from cloud.rollout.table import STAGES, IllegalMoveError, State
from tests.unit.rollout.hosts import PLAN, candidates, columns

COUNTS = st.integers(0, 1_000)


@st.composite
def groups(draw_: st.DrawFn) -> Group:
    """Any group whose counts can be."""
    hosts = draw_(COUNTS)
    signs = {sign: draw_(st.integers(0, hosts)) for sign in Sign}
    return Group(hosts, hosts - signs[Sign.SILENT], signs)


EVIDENCE = st.builds(
    Evidence,
    COUNTS,
    groups(),
    groups(),
    st.dictionaries(st.sampled_from(["one", "two"]), st.integers(0, 300)),
    st.integers(0, 3),
)
Act = Callable[[Rollout], Rollout]
BOTH = frozenset({"alice", "bob"})
ACTS: st.SearchStrategy[Act] = st.one_of(
    st.builds(
        lambda found, seconds: lambda one: look(one, found, seconds, 5.0),
        EVIDENCE,
        st.floats(-1e6, 1e6),
    ),
    st.sampled_from(
        [
            lambda one: promote(one, 5.0),
            lambda one: override(one, BOTH, 5.0),
            lambda one: halt(one, "by hand", 5.0),
            lambda one: supersede(one, 5.0),
            lambda one: pause(one, paused=True),
            lambda one: pause(one, paused=False),
        ]
    ),
)


def after(rollout: Rollout, act: Act) -> Rollout:
    """What follows; a refused order changes nothing."""
    try:
        return act(rollout)
    except IllegalMoveError:
        return rollout


@given(st.lists(ACTS, max_size=12))
def test_a_halted_rollout_never_offers_again(acts: list[Act]) -> None:
    """Whatever happens next, content that did harm would be offered again."""
    rollout, halted = begin(PLAN, 0.0), False
    policy = ContentUpdatePolicy()
    for act in acts:
        rollout = after(rollout, act)
        halted = halted or rollout.state is State.HALTED
        if halted:
            told = offer(
                RolledOut(1, prevents=False, rollout=rollout), policy, seated=True, now=9e9
            )
            assert not isinstance(told, Offer)


@given(st.lists(ACTS, max_size=12))
def test_no_step_leaves_a_stage_out(acts: list[Act]) -> None:
    """A stage could be jumped over by some order of events."""
    rollout, order = begin(PLAN, 0.0), (*STAGES, State.COMPLETE)
    for act in acts:
        before, rollout = rollout, after(rollout, act)
        if rollout.state in order and rollout.state is not before.state:
            assert order.index(rollout.state) == order.index(before.state) + 1


@given(EVIDENCE, st.floats(0, 1e5), st.floats(0, 1e5))
def test_missing_evidence_never_passes(found: Evidence, baked: float, waited: float) -> None:
    """A stage would be left on the word of hosts that were never heard."""
    verdicts = judge(found, PLAN.stages[State.CANARY], PLAN.limits, baked, waited)
    good = all(one.outcome is Outcome.PASSED for one in verdicts)
    if found.reached.heard == 0 or min(found.evaluations.values(), default=100) < 100:
        assert not good
    if baked < PLAN.stages[State.CANARY].bake_seconds or found.platforms_missing:
        assert not good


@given(st.integers(3, 2_000), st.integers(1, 8), st.integers(0, 50), st.integers(0, 300))
def test_never_more_than_the_stages_share(
    hosts: int, platforms: int, internal: int, early: int
) -> None:
    """Bad content would reach more hosts than the stage is meant to risk."""
    seated: set[int] = set()
    internal, early = min(internal, hosts), min(early, hosts - min(internal, hosts))
    for state in STAGES:
        for seed in range(3):  # whoever is asked again gets nothing twice
            fleet = candidates(
                hosts,
                internal=internal,
                early=early,
                platforms=platforms,
                seated=sorted(seated),
                seed=seed,
            )
            seated |= set(np.flatnonzero(draw(state, fleet, PLAN)).tolist())
        share = int(PLAN.stages[state].share * hosts + 1e-9)
        most = max(share, min(platforms, hosts), 1)
        assert len(seated) <= max(most, seats(state, hosts, min(platforms, hosts), PLAN))
        if state is State.CANARY:
            assert len(seated) <= max(hosts // 100, min(platforms, hosts) + 1)
            assert {one % platforms for one in seated} == set(range(min(platforms, hosts)))


@given(st.integers(2, 200), st.integers(0, 10**12))
def test_one_host_can_not_vouch_for_a_stage(reached: int, claimed: int) -> None:
    """A host that claims to have evaluated everything would advance the rollout alone."""
    hosts = columns(1_000, reached)
    counts = np.zeros(1_000, dtype=np.int64)
    counts[0] = claimed
    alone = collect(
        type(hosts)(
            hosts.reached,
            hosts.control,
            hosts.signs,
            hosts.evaluation_ns,
            hosts.memory_bytes,
            {"new": counts},
            hosts.platforms,
        ),
        reached,
        100,
        PLAN.limits,
    )
    assert alone.evaluations["new"] < 100


@given(st.integers(3, 1_000), st.integers(0, 999))
def test_the_signs_of_one_host_never_halt_two_others(hosts: int, which: int) -> None:
    """A host that floods the cloud with crash reports would halt the world."""
    reached = max(3, hosts // 2)
    shown = {sign.value: [which % hosts] for sign in Sign if sign is not Sign.SILENT}
    found = collect(columns(hosts, reached, **shown), reached, 100, PLAN.limits)
    rollout = look(Rollout(PLAN, State.CANARY), found, 1.0, 0.0)
    assert rollout.state is not State.HALTED


@given(
    policy=st.builds(
        ContentUpdatePolicy,
        st.sampled_from(Ring),
        st.floats(0, 1_000),
        st.integers(0, 3),
        st.booleans(),
        st.booleans(),
    ),
    state=st.sampled_from(State),
    seated=st.booleans(),
    prevents=st.booleans(),
)
def test_a_policy_only_ever_withholds(
    policy: ContentUpdatePolicy, state: State, *, seated: bool, prevents: bool
) -> None:
    """A customer's setting would make content come before it has earned that."""
    release = RolledOut(2, prevents=prevents, rollout=Rollout(PLAN, state, general_since=1.0))
    told = offer(release, policy, seated=seated, now=1e9)
    plain = offer(release, ContentUpdatePolicy(), seated=seated, now=1e9)
    if isinstance(told, Offer) and not policy.delay_hours:
        assert isinstance(plain, Offer)
    if isinstance(told, Offer):
        assert not policy.paused
        assert policy.pinned in (0, 2)
        assert policy.prevention or not prevents
        assert state in (*STAGES, State.COMPLETE)
