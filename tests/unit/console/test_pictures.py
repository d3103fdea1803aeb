"""A rollout's life and its pictures: what was written down, and nothing that a host can slip in."""

import json
from dataclasses import replace
from xml.etree import ElementTree as Tree

import pytest

from cloud.console.life import Life, Standing, life
from cloud.console.picture import GATES_DRAWN, picture
from cloud.console.strip import LANES, Crash, strip
from cloud.rollout.audit import Entry
from cloud.rollout.engine import Rollout, begin
from cloud.rollout.gates import Outcome, Verdict
from cloud.rollout.plan import IMMEDIATE, STAGED
from cloud.rollout.table import State
from cloud.store.rollouts import Started, Stored

SECOND = 1_000_000_000
HOSTILE = "</text><script>alert(1)</script>\x1b[31m\n\u202e"
STARTED = Started(b"\1" * 32, 4, 291, SECOND, ("pipe-21",), prevents=False)


def entry(number: int, action: str, by: str = "rollout engine", **detail: object) -> Entry:
    """An entry of the audit log, so many seconds after the epoch."""
    text = json.dumps(detail)
    return Entry(number, number * SECOND, by, action, STARTED.subject, text, b"")


def stored(rollout: Rollout) -> Stored:
    """A rollout in the store."""
    return Stored(STARTED, rollout, 1, 0)


def told() -> Life:
    """Pushed, passed one stage, waived another, halted in the third."""
    rollout = replace(
        begin(STAGED, 0.0),
        state=State.HALTED,
        reason=HOSTILE,
        baked=30.0,
        verdicts=(Verdict(HOSTILE, Outcome.FAILED, HOSTILE, HOSTILE),),
    )
    entries = [
        entry(1, "push", "ada", state="internal"),
        entry(2, "halt", "old", **{"from": "internal", "to": "halted"}),
        entry(3, "push", "ada", state="internal"),
        entry(4, "advance", **{"from": "internal", "to": "canary"}),
        entry(5, "pause", "ada", **{"from": "canary", "to": "canary"}),
        entry(6, "override", "ada and bob", **{"from": "canary", "to": "early_access"}),
        entry(7, "halt", HOSTILE, **{"from": "early_access", "to": "halted", "reason": HOSTILE}),
    ]
    return life(stored(rollout), entries)


def test_a_life_is_told_from_its_last_push_on() -> None:
    """An earlier rollout of the same content would speak for this one."""
    found = told()
    assert [one.standing for one in found.stages] == [
        Standing.PASSED,
        Standing.WAIVED,
        Standing.STOPPED,
        Standing.AHEAD,
    ]
    assert [one.by for one in found.stages] == ["rollout engine", "ada and bob", HOSTILE, ""]
    assert [one.entered // SECOND for one in found.stages] == [3, 4, 6, 0]
    assert [one.left // SECOND for one in found.stages] == [4, 6, 7, 0]
    assert found.where is State.EARLY_ACCESS
    assert found.last is not None
    assert found.last.action == "halt"
    assert len(found.moments) == 5


def test_where_it_is_now_has_baked_so_far() -> None:
    """The bar would say that a stage is over which has only begun."""
    rollout = replace(begin(STAGED, 0.0), state=State.CANARY, baked=60.0)
    entries = [
        entry(1, "push", "ada", state="internal"),
        entry(2, "advance", **{"from": "internal", "to": "canary"}),
    ]
    internal, canary, *_ = life(stored(rollout), entries).stages
    assert (internal.standing, internal.baked) == (Standing.PASSED, 0.0)
    assert (canary.standing, canary.baked, canary.left) == (Standing.HERE, 60.0, 0)


def test_a_plan_without_stages_has_a_life_too() -> None:
    """The page of a rollout to everybody at once would be an error."""
    found = life(stored(begin(IMMEDIATE, 0.0)), [entry(1, "push", "ada", state="complete")])
    assert found.stages == []
    assert found.where is State.COMPLETE
    assert "complete" in picture(found, "title", narrow=False)


@pytest.mark.parametrize("narrow", [False, True])
def test_a_picture_is_a_tree_in_which_texts_are_texts(*, narrow: bool) -> None:
    """A name in a picture could be markup."""
    drawn = str(picture(told(), HOSTILE, narrow=narrow))
    root = Tree.fromstring(drawn)  # noqa: S314  our own
    names = {one.tag.partition("}")[2] for one in root.iter()}
    assert names == {"svg", "title", "desc", "rect", "line", "text"}
    assert not [one for one in root.iter() if "style" in one.attrib]
    for character in ("\x1b", "\n", "\u202e"):
        assert character not in drawn
    texts = [one.text for one in root.iter() if one.tag.endswith("text")]
    assert {"internal", "passed", "taken as passed", "halted here", "never reached"} <= set(texts)


@pytest.mark.parametrize("narrow", [False, True])
def test_nothing_is_drawn_outside_of_the_picture(*, narrow: bool) -> None:
    """Half of the gates would be out of sight."""
    gates = tuple(Verdict(f"gate-{number}", Outcome.PASSED, "x" * 200, "") for number in range(30))
    root = Tree.fromstring(str(picture(replace(told(), gates=gates), "t", narrow=narrow)))  # noqa: S314
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    for one in root.iter():
        x, y = (float(one.get(name, one.get(f"{name}1", 0))) for name in ("x", "y"))
        assert left <= x <= x + float(one.get("width", 0)) <= left + width or one is root
        assert top <= y <= y + float(one.get("height", 0)) <= top + height or one is root
    assert sum(str(one.text).startswith("gate-") for one in root.iter()) == GATES_DRAWN


@pytest.mark.parametrize("narrow", [False, True])
def test_each_culprit_has_its_line_and_the_rest_share_one(*, narrow: bool) -> None:
    """Who is to blame most would be lost among many."""
    crashes = [
        Crash(SECOND * number, f"{HOSTILE}{number % (LANES + 3)}", "RESTARTED", HOSTILE)
        for number in range(50)
    ]
    root = Tree.fromstring(str(strip(crashes, ("then", "now"), narrow=narrow)))  # noqa: S314
    circles = [one for one in root.iter() if one.tag.endswith("circle")]
    assert len(circles) == 50
    assert len({one.attrib["cy"] for one in circles}) == LANES + 1
    assert not [one for one in root.iter() if "script" in one.tag]
    width = float(root.attrib["viewBox"].split()[2])
    assert all(0 <= float(one.attrib["cx"]) <= width for one in circles)


def test_crashes_at_one_moment_are_drawn() -> None:
    """A single crash would be an error of ours."""
    assert "<circle" in strip([Crash(5, "x", "", "told")], ("a", "a"), narrow=False)
