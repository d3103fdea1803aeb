"""How the probes did on each kernel: one line for people, one document for programs."""

import json
import platform
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from content.escape import safe
from lab.kernel_matrix.kernels import MatrixKernel
from lab.kernel_matrix.outcomes import FAILED, PASSED, SKIPPED, Session
from lab.vm.machine import Ending, Outcome
from lab.vm.probe import Choice


class State(StrEnum):
    """What is known about the probes on a kernel."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class KernelResult:
    """One row of the matrix; a kernel that could not be had has neither version nor session."""

    kernel: MatrixKernel
    state: State
    reason: str
    version: str | None = None
    session: Session = field(default_factory=Session)
    outcome: Outcome | None = None


@dataclass(slots=True)
class Matrix:
    """All that is known so far: how guests are run, how long their images took, the rows."""

    images_seconds: float
    choice: Choice | None = None
    results: list[KernelResult] = field(default_factory=list)


def judge(kernel: MatrixKernel, version: str, outcome: Outcome, session: Session) -> KernelResult:
    """Passed only if the guest came to its end and every test that may pass has passed."""
    reason = ""
    if not version.startswith(f"{kernel.series}."):
        reason = f"{kernel.release} brought kernel {version}, expected {kernel.series}"
    elif outcome.ending is not Ending.FINISHED:
        reason = f"the guest ended with {outcome.ending}; last test was {session.running}"
    elif session.complaint:
        reason = session.complaint
    elif outcome.status != 0:
        reason = f"pytest ended with status {outcome.status}"
    state = State.FAILED if reason else State.PASSED
    return KernelResult(kernel, state, reason, version, session, outcome)


def could_not_be_had(kernel: MatrixKernel, reason: str) -> KernelResult:
    """A kernel that nothing is known about, and why."""
    return KernelResult(kernel, State.SKIPPED, reason)


def lines(result: KernelResult) -> list[str]:
    """One line, then one per test that failed or was skipped, then the console if that matters."""
    name = f"{result.kernel.series} ({result.kernel.release})"
    if result.outcome is None:
        return [f"{name:<16} skipped: {safe(result.reason)}"]
    session = result.session
    counts = ", ".join(f"{len(session.of(one))} {one}" for one in (PASSED, FAILED, SKIPPED))
    boot = result.outcome.boot_seconds
    times = f"{result.outcome.seconds:.0f} s" + (f", booted in {boot:.1f} s" if boot else "")
    head = f"{name:<16} {result.state}: {counts}; {result.version}; {times}"
    told = [head + (f": {safe(result.reason)}" if result.reason else "")]
    told += [
        f"  {one.outcome} {one.test}: {safe(last_line(one.reason))}"
        for one in (*session.of(FAILED), *session.of(SKIPPED))
    ]
    if result.state is State.FAILED and not session.of(FAILED):
        told += [f"  | {safe(line)}" for line in result.outcome.console_tail.splitlines()[-20:]]
    return told


def last_line(text: str) -> str:
    """What says most about a failure in one line: pytest's last line, or nothing."""
    found = [line for line in text.splitlines() if line.strip()]
    return found[-1].strip() if found else ""


def document(matrix: Matrix) -> dict[str, Any]:
    """The whole matrix as JSON's kinds of values."""
    choice = matrix.choice
    return {
        "machine": platform.release(),
        "accelerator": choice and {"name": choice.accelerator.name, "because": choice.because},
        "images_seconds": matrix.images_seconds,
        "kernels": [_row(result) for result in matrix.results],
    }


def _row(result: KernelResult) -> dict[str, Any]:
    session = result.session
    outcome = result.outcome
    return {
        "series": result.kernel.series,
        "release": result.kernel.release,
        "version": result.version,
        "state": result.state,
        "reason": result.reason,
        "ending": None if outcome is None else outcome.ending,
        "boot_seconds": None if outcome is None else outcome.boot_seconds,
        "seconds": None if outcome is None else outcome.seconds,
        "collected": session.collected,
        "passed": len(session.of(PASSED)),
        "failed": {test.test: test.reason for test in session.of(FAILED)},
        "skipped": {test.test: test.reason for test in session.of(SKIPPED)},
    }


def write(path: Path, report: dict[str, Any]) -> None:
    """Replace the report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(report, indent=1) + "\n", encoding="ascii")
    unfinished.replace(path)
