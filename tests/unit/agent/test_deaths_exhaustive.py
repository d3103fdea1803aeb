"""Every sequence of deaths from a small domain: what must hold whatever happens in what order."""

import copy
import itertools
from collections.abc import Iterator, Sequence

import pytest

from agent.attribution import Phase, Progress
from agent.deaths import (
    FOREIGN_KILLS_ON_PROBATION,
    UNEXPLAINED_DEATHS_BEFORE_DEGRADING,
    Action,
    Cause,
    Death,
    DeathHistory,
    Decision,
    decide,
)

STRIDE = 100
SUSPECT, OTHER = "a" * 64, "b" * 64
FILES = {4: SUSPECT, 1: OTHER}
PROBATIONS = (frozenset[str](), frozenset({SUSPECT}), frozenset({OTHER}))
# Count of the batch, and the row that the evaluator was at.
SHAPES = ((1, 0), (1, None), (5, None), (5, 2))
PASSES_ON = frozenset({Action.RESTART, Action.RETRY_WITH_CARE})

Story = list[tuple[Death, Decision]]


def make(
    phase: Phase, *, foreign: bool, probation: frozenset[str], on_trial: bool = False
) -> Death:
    """A death without an event."""
    progress = Progress(phase, 0, 0, 0, None, None, "")
    running = phase is Phase.IDLE and not on_trial
    return Death(
        Cause.SIGNAL, 9 if foreign else 11, on_trial, running, foreign, progress, FILES, probation
    )


def on_event(
    ring: int,
    position: int,
    shape: tuple[int, int | None],
    *,
    foreign: bool,
    probation: frozenset[str],
) -> Death:
    """A death of the worker amid a batch."""
    progress = Progress(Phase.EVALUATING, ring, position, *shape, 1, "instance")
    signal = 9 if foreign else 11
    return Death(Cause.SIGNAL, signal, False, True, foreign, progress, FILES, probation)


def domain(
    rings: Sequence[int], positions: Sequence[int], shapes: Sequence[tuple[int, int | None]]
) -> list[Death]:
    """All deaths of these kinds."""
    rest = [make(Phase.SHADOW, foreign=False, probation=frozenset(), on_trial=True)]
    rest += [
        make(phase, foreign=foreign, probation=probation)
        for foreign, probation, phase in itertools.product(
            (False, True), PROBATIONS, (Phase.IDLE, Phase.LOADING)
        )
    ]
    return rest + [
        on_event(ring, position, shape, foreign=foreign, probation=probation)
        for foreign, probation, ring, position, shape in itertools.product(
            (False, True), PROBATIONS, rings, positions, shapes
        )
    ]


def stories(deaths: Sequence[Death], length: int) -> Iterator[Story]:
    """Every sequence of deaths with what was decided; each prefix is given once."""
    todo: list[tuple[Story, DeathHistory]] = [([], DeathHistory())]
    while todo:
        story, history = todo.pop()
        for death in deaths:
            after = copy.copy(history)
            after.blamed, after.careful = set(history.blamed), dict(history.careful)
            longer = [*story, (death, decide(death, after, STRIDE))]
            yield longer
            if len(longer) < length:
                todo.append((longer, after))


def suspect_of(death: Death) -> str:
    """The file of the event that a death happened on."""
    return death.files.get(death.progress.ring, "")


def exact(death: Death) -> bool:
    """Whether the record names one event."""
    return death.progress.row is not None or death.progress.count == 1


def place(death: Death) -> tuple[int, int] | Phase | None:
    """Where a kill from outside met the evaluator, as far as that can be said of one place."""
    progress = death.progress
    if progress.phase is Phase.EVALUATING:
        return (
            (progress.ring, progress.position + (progress.row or 0) * STRIDE)
            if exact(death)
            else None
        )
    return progress.phase if progress.phase is not Phase.IDLE else None


def innocent(story: Story, death: Death) -> bool:
    """Whether this kill from outside is no evidence: not twice in one place, not too often."""
    kills = [one for one, _ in story if one.foreign_kill and not one.on_trial]
    repeated = bool(kills) and place(death) is not None and place(kills[-1]) == place(death)
    often = bool(death.probation) and len(kills) + 1 >= FOREIGN_KILLS_ON_PROBATION
    return death.foreign_kill and not repeated and not often


def same_batch(story: Story, death: Death) -> bool:
    """Whether the last innocent kill from outside amid a batch met one that began there too."""
    earlier = [
        (one.progress.ring, one.progress.position)
        for index, (one, _) in enumerate(story)
        if not one.on_trial
        and one.progress.phase is Phase.EVALUATING
        and not exact(one)
        and innocent(story[:index], one)
    ]
    return earlier[-1:] == [(death.progress.ring, death.progress.position)]


def in_care(story: Story, death: Death) -> bool:
    """Whether the events around this death were to be evaluated one by one."""
    asked = [
        decision.position
        for _, decision in story
        if decision.action is Action.RETRY_WITH_CARE and decision.ring == death.progress.ring
    ]
    return bool(asked) and death.progress.position < asked[-1]


def expect_about_event(story: Story, death: Death, decision: Decision) -> None:
    """The death of a worker amid a batch."""
    suspect = suspect_of(death)
    if innocent(story, death) and not exact(death) and not same_batch(story, death):
        assert decision.action is Action.RESTART
    elif innocent(story, death) and (exact(death) or not in_care(story, death)):
        assert decision.action is Action.RETRY_WITH_CARE
    elif suspect and suspect in death.probation:
        assert (decision.action, decision.hashes) == (Action.ROLL_BACK, (suspect,))
    elif not suspect and death.probation:
        assert (decision.action, decision.hashes) == (Action.ROLL_BACK, tuple(death.probation))
    elif exact(death):
        assert decision.action is Action.SET_ASIDE
        assert decision.inquest is bool(suspect)
    elif not in_care(story, death):
        assert decision.action is Action.RETRY_WITH_CARE
    else:
        expect_unexplained(story, decision)


def expect_unexplained(story: Story, decision: Decision) -> None:
    """A death that nobody is blamed for: fewer files only after several of them in a row."""
    assert decision.action in (Action.RESTART, Action.DEGRADE)
    if decision.action is Action.DEGRADE:
        earlier = [d.action for death, d in story if not death.on_trial]
        row = earlier[-UNEXPLAINED_DEATHS_BEFORE_DEGRADING:]
        assert row.count(Action.RESTART) == UNEXPLAINED_DEATHS_BEFORE_DEGRADING


def expect(story: Story) -> None:
    """What must hold of the last death in a story."""
    *earlier, (death, decision) = story
    assert set(decision.hashes) <= set(FILES.values())
    if decision.action in (Action.SET_ASIDE, Action.RETRY_WITH_CARE):
        asked = max((d.position for _, d in earlier if d.ring == decision.ring), default=0)
        batch_end = death.progress.position + death.progress.count * STRIDE
        assert death.progress.position <= decision.position <= max(batch_end, asked)
    if death.on_trial:
        assert decision == Decision(Action.REJECT_CANDIDATE)
    elif death.progress.phase is Phase.EVALUATING:
        expect_about_event(earlier, death, decision)
    elif innocent(earlier, death):
        assert decision.action is Action.RESTART
    elif death.probation:
        assert (decision.action, decision.hashes) == (Action.ROLL_BACK, tuple(death.probation))
    else:
        expect_unexplained(earlier, decision)


def test_every_story_of_two_deaths() -> None:
    """Some pair of deaths would be answered against the rules."""
    for story in stories(domain((4, 1, 9), (0, 200, 1000), SHAPES), 2):
        expect(story)


def test_every_story_of_four_deaths() -> None:
    """Some sequence of deaths would be answered against the rules."""
    counted = 0
    for story in stories(domain((4,), (0,), ((5, 2), (5, None))), 4):
        expect(story)
        counted += 1
    assert counted > 300_000


@pytest.mark.parametrize("known", [True, False])
def test_four_unexplained_deaths_and_not_three(known: bool) -> None:  # noqa: FBT001
    """Content would be given up too soon, or never, where nobody is suspect."""
    shape = (5, None) if known else (0, None)
    silent = on_event(4, 0, shape, foreign=False, probation=frozenset())
    actions = [story[-1][1].action for story in stories([silent], 6)]
    start = 1 if known else 0  # The first was answered with care.
    assert actions[start : start + 4] == [*[Action.RESTART] * 3, Action.DEGRADE]


@pytest.mark.parametrize("death", domain((4, 1, 9), (0, 1000), SHAPES))
def test_nothing_repeats_itself_for_ever(death: Death) -> None:
    """The same death again and again would only ever be answered with another try."""
    outside = death.foreign_kill and death.progress.phase is Phase.IDLE and not death.probation
    actions = [story[-1][1].action for story in stories([death], 7)]
    assert outside or any(action not in PASSES_ON for action in actions)
