"""After a power cut there is the old content or the new; anything else is called broken."""

from dataclasses import replace

import pytest

from lab.boot.cuts import Cut, Found, amid_commit, judge
from lab.boot.lines import Said, read
from lab.boot.report import Report, broken, cut_line, cuts_line
from lab.vm.accelerator import TCG
from lab.vm.probe import Choice

AGENT: Said = {"what": "agent", "seconds": 3.0, "ended": 0, "reduced": []}
CUT = Cut(1.25, 7, under_way=True, found=Found.NEW, why="", boot_seconds=4.0, agent_seconds=3.0)
BROKEN = replace(CUT, found=Found.BROKEN, why="version 3, expected 7 or 8")


def found(version: int, left_out: tuple[str, ...] = (), rests: tuple[str, ...] = ()) -> Said:
    """What a guest says of its store."""
    return {"what": "found", "version": version, "left_out": left_out, "rests": rests}


def updates(until: int, *, under_way: bool) -> list[Said]:
    """A boot that began with version 5 and was cut after so many versions."""
    said: list[Said] = [found(5), AGENT]
    for version in range(6, until + 1):
        said += [{"what": what, "version": version} for what in ("begun", "done", "accepted")]
    return said[:-2] if under_way else said


def test_a_commit_is_under_way_until_it_is_announced() -> None:
    """Cuts between two updates, which show nothing, would be counted as cuts of commits."""
    whole = updates(8, under_way=False)
    assert [amid_commit(whole[:last]) for last in (-2, -1, None)] == [True, True, False]
    assert not amid_commit([found(5), AGENT])


@pytest.mark.parametrize(
    ("before", "version", "verdict"),
    [
        (updates(8, under_way=True), 7, Found.OLD),
        (updates(8, under_way=True), 8, Found.NEW),
        (updates(8, under_way=True), 6, Found.BROKEN),
        (updates(8, under_way=True), 9, Found.BROKEN),
        (updates(8, under_way=False), 8, Found.OLD),
        (updates(8, under_way=False), 7, Found.BROKEN),
        (updates(6, under_way=True), 5, Found.OLD),
        (updates(6, under_way=True), 6, Found.NEW),
        (updates(6, under_way=True), 0, Found.BROKEN),
        ([found(5), AGENT], 5, Found.OLD),
        ([found(5), AGENT], 4, Found.BROKEN),
    ],
)
def test_old_or_new(before: list[Said], version: int, verdict: Found) -> None:
    """Lost or invented content would pass for a good outcome."""
    assert judge(before, [found(version), AGENT])[0] is verdict


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ([], "the store could not be opened"),
        ([found(8)], "the sensor does not evaluate version 8"),
        ([found(8, left_out=("a: damaged",)), AGENT], "a: damaged"),
        ([found(8, rests=("a.new",)), AGENT], "a.new"),
    ],
)
def test_what_is_not_whole_is_broken(after: list[Said], why: str) -> None:
    """A host without content, or with damaged content, would count as old or new."""
    assert judge(updates(8, under_way=False), after) == (Found.BROKEN, why)


def test_line_that_was_cut_off_is_passed_over() -> None:
    """The power goes amid a line, and the laboratory would end with a traceback."""
    lines = ['{"what": "done", "version": 8}', "guest: ready", "[1]", '{"what": 1}', '{"what": "be']
    assert read(lines) == [{"what": "done", "version": 8}]


def report(**parts: object) -> Report:
    """A report with some parts."""
    whole = Report("6.1", Choice(TCG, "there is no /dev/kvm"))
    for name, value in parts.items():
        setattr(whole, name, value)
    return whole


def test_complaints_are_what_failed() -> None:
    """A broken store, missing cuts or a measurement that can't fail would end with status 0."""
    assert report(cuts=[CUT], cuts_wanted=1, control=[BROKEN]).complaints == []
    assert report(cuts=[BROKEN], cuts_wanted=1).complaints == [f"power cut: {BROKEN.why}"]
    assert report(cuts=[CUT], cuts_wanted=2).complaints == ["1 of 2 power cuts"]
    (unnoticed,) = report(control=[CUT]).complaints
    assert "forgets fsync" in unnoticed


def test_cuts_in_words() -> None:
    """People would not see what was found."""
    assert cut_line(3, CUT) == "power cut 3, 1.2 s and 7 updates in, amid a commit: new"
    assert cut_line(4, replace(BROKEN, under_way=False)).endswith(
        "between two updates: broken: version 3, expected 7 or 8"
    )
    assert cuts_line([CUT, BROKEN]) == "2 power cuts, 2 amid a commit: 0 old, 1 new, 1 broken"
    assert broken([CUT, BROKEN]) == 1
