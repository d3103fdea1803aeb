"""The matrix passes only what was really shown, and says of the rest why not."""

import json
from dataclasses import replace

import pytest

from lab.kernel_matrix.__main__ import exit_status
from lab.kernel_matrix.guest import command
from lab.kernel_matrix.kernels import MatrixKernel
from lab.kernel_matrix.outcomes import Session, read
from lab.kernel_matrix.report import (
    KernelResult,
    Matrix,
    State,
    could_not_be_had,
    document,
    judge,
    lines,
)
from lab.vm.machine import Ending, Outcome

KERNEL = MatrixKernel("bookworm", "6.1")
VERSION = "6.1.0-56-cloud-amd64"
FINISHED = Outcome(Ending.FINISHED, 0, [], "", 4.0, 100.0)


def said(*outcomes: tuple[str, str], collected: int | None = None) -> list[str]:
    """What a guest writes for these tests."""
    told = [json.dumps({"collected": len(outcomes) if collected is None else collected})]
    for test, outcome in outcomes:
        told.append(json.dumps({"running": test}))
        told.append(json.dumps({"test": test, "outcome": outcome, "reason": "a\nE  because"}))
    return told


def judged(*told: str, outcome: Outcome = FINISHED, version: str = VERSION) -> KernelResult:
    """The row of a kernel on which a guest wrote this."""
    return judge(KERNEL, version, outcome, read(told))


def test_all_passed() -> None:
    """Nothing could ever pass."""
    result = judged(*said(("a", "passed"), ("b", "passed"), ("c", "skipped")))
    assert (result.state, result.reason) == (State.PASSED, "")
    assert lines(result)[0].endswith(
        "passed: 2 passed, 0 failed, 1 skipped; 6.1.0-56-cloud-amd64; 100 s, booted in 4.0 s"
    )
    assert lines(result)[1] == "  skipped c: E  because"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ([], "no test was collected"),
        (said(), "no test was collected"),
        (said(("a", "passed"), collected=2), "1 of 2 tests ended; last was a"),
        (said(("a", "passed"), ("b", "failed")), "1 tests failed"),
        (said(("a", "skipped")), "every test was skipped"),
    ],
)
def test_what_is_not_shown_does_not_pass(told: list[str], reason: str) -> None:
    """A guest without results, or with half of them, would count as a success."""
    result = judged(*told)
    assert (result.state, result.reason) == (State.FAILED, reason)


def test_failure_in_teardown_outweighs_a_pass() -> None:
    """A test that leaves something behind would count as passed, whichever line comes first."""
    for order in (("passed", "failed"), ("failed", "passed")):
        told = said(*(("a", outcome) for outcome in order), collected=1)
        assert judged(*told).state is State.FAILED


def test_lines_that_are_cut_or_foreign_are_passed_over() -> None:
    """A panic in the middle of a line would hide what had been shown before it."""
    session = read(["[1, 2]", "noise", *said(("a", "passed")), '{"test": "b", "outco'])
    assert list(session.tests) == ["a"]


@pytest.mark.parametrize("ending", [one for one in Ending if one is not Ending.FINISHED])
def test_every_other_ending_is_a_failure_with_its_console(ending: Ending) -> None:
    """A kernel that panicked would pass, or fail without what it said."""
    outcome = replace(
        FINISHED, ending=ending, status=None, console_tail="first\nKernel panic\x1b[m"
    )
    result = judged(*said(("a", "passed")), outcome=outcome)
    assert result.state is State.FAILED
    assert ending in result.reason
    assert "Kernel panic" in lines(result)[-1]
    assert "\x1b" not in lines(result)[-1]


def test_session_that_never_began_shows_its_console() -> None:
    """A session could fail before its first test, and nobody would learn why."""
    result = judged(outcome=replace(FINISHED, status=4, console_tail="no such folder"))
    assert lines(result)[-1] == "  | no such folder"


def test_another_kernel_than_expected_is_a_failure() -> None:
    """The matrix would say 6.1 of a machine that ran something else."""
    assert judged(*said(("a", "passed")), version="6.12.1").state is State.FAILED


def test_status_of_pytest_counts() -> None:
    """An error outside of any test would be lost."""
    result = judged(*said(("a", "passed")), outcome=replace(FINISHED, status=3))
    assert result.reason == "pytest ended with status 3"


def test_exit_status() -> None:
    """`make kernel-matrix` would be a success although a kernel failed or was never tried."""
    passed = judged(*said(("a", "passed")))
    failed = judged()
    absent = could_not_be_had(KERNEL, "ARCHIVE_UNREACHABLE: gone")
    assert exit_status([passed, passed]) == 0
    assert exit_status([passed, absent]) == 3
    assert exit_status([absent, failed, passed]) == 1


def test_kernel_that_could_not_be_had_is_reported_with_its_reason() -> None:
    """A row would be missing from the matrix without anybody noticing."""
    absent = could_not_be_had(KERNEL, "ARCHIVE_UNREACHABLE: gone")
    assert lines(absent) == ["6.1 (bookworm)   skipped: ARCHIVE_UNREACHABLE: gone"]
    (row,) = json.loads(json.dumps(document(Matrix(1.0, results=[absent]))))["kernels"]
    assert (row["state"], row["version"], row["passed"]) == ("skipped", None, 0)


def test_command_forbids_skips_and_keeps_words_apart() -> None:
    """A guest that lacks something would skip quietly, or `-k 'a or b'` fall apart."""
    script = command(10.0, "-k 'exec or fork'")
    assert "export BULKHEAD_FORBID_SKIPS=1" in script
    assert "export BULKHEAD_TIME_FACTOR=10\n" in script
    assert " -k 'exec or fork' " in script


def test_session_that_said_nothing_has_no_running_test() -> None:
    """Reading nothing would fail instead of saying so."""
    assert Session() == read([])
