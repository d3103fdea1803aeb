"""The guide's picture, table of the plan and reasons are those of the code."""

import re
from pathlib import Path

from cloud.rollout.plan import STAGED
from cloud.rollout.policy import WithheldReason
from cloud.rollout.sign import Sign
from cloud.rollout.table import STAGES, TABLE, State

PAGE = (Path(__file__).parents[3] / "docs" / "rollout.md").read_text(encoding="utf-8")


def test_the_picture_has_the_moves_of_the_table_and_no_others() -> None:
    """A reader would rely on a way that there is not, or overlook one."""
    (drawn,) = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
    moves = [line.split() for line in drawn.splitlines() if "-->" in line and "[*]" not in line]
    found = {(line[0], line[4], line[2]) for line in moves}
    assert found == {(state, event, after) for (state, event), after in TABLE.items()}
    assert f"[*] --> {State.INTERNAL}" in drawn
    assert f"{State.HALTED} --> [*]" in drawn


def test_the_stages_of_the_plan_are_told_as_they_are() -> None:
    """An operator would wait for other times and shares than hold."""
    for state in STAGES:
        stage = STAGED.stages[state]
        row = f"| `{state}` | {stage.share:.1%} | {stage.bake_seconds / 60:g} min | "
        assert row + f"{stage.evaluations:,} | {stage.deadline_seconds / 3600:g} h |" in PAGE


def test_every_sign_and_every_reason_is_explained() -> None:
    """Somebody would look a gate or a reason up and find nothing."""
    for sign in Sign:
        share = STAGED.limits.background[sign]
        assert re.search(rf"^\| `{sign}` \|.*\| {share:g} \|$", PAGE, re.MULTILINE), sign
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE))
    assert told == {reason.value for reason in WithheldReason}
