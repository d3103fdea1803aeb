"""Runs of fuzz targets as processes, and what they came to; inputs lie under build/fuzz/NAME.

seeds: what the target's code makes. corpus: what long runs have found to take new edges, kept from
run to run. crash-*, timeout-*, oom-*: findings. log: what libFuzzer said last.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "build" / "fuzz"
FINDINGS = ("crash-*", "timeout-*", "oom-*", "leak-*")
LAST_LINES = 40

_EXECUTIONS = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
_PER_SECOND = re.compile(r"^stat::average_exec_per_sec:\s*(\d+)", re.MULTILINE)
_COVERED = re.compile(r"^#\d+\s+\S+\s+cov: (\d+) .*?corp: (\d+)/", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to.

    seconds: of the whole process, start included; per_second: executions, once it has started.
    edges: of instrumented Python that were taken. inputs: kept, because each takes an edge that the
    others don't. findings: files that the run left. failed: whether it ended in any other way than
    by having done its work.
    """

    name: str
    executions: int
    seconds: float
    per_second: int
    edges: int
    inputs: int
    findings: tuple[Path, ...]
    failed: bool
    log: Path


def names() -> list[str]:
    """All targets."""
    return sorted(
        path.stem.removeprefix("fuzz_") for path in Path(__file__).parent.glob("fuzz_*.py")
    )


def folder_of(name: str) -> Path:
    """Where a target's inputs and findings are."""
    return FOLDER / name


def quick(name: str) -> Outcome:
    """As many executions as the target says, from the seeds alone, with the same random numbers."""
    return _run_afresh(name, "--quick")


def for_seconds(name: str, seconds: int) -> Outcome:
    """As many executions as fit, beginning with what earlier runs found."""
    return _run(name, "--seconds", str(seconds))


def afresh_for_seconds(name: str, seconds: int) -> Outcome:
    """As many executions as fit, from the seeds alone."""
    return _run_afresh(name, "--seconds", str(seconds))


def reproduction(name: str, finding: Path) -> str:
    """The command that tries a finding again."""
    return f".venv/bin/python -m tests.fuzz.runner {name} {finding.relative_to(CHECKOUT)}"


def last_words(outcome: Outcome) -> str:
    """The end of what the run said."""
    lines = outcome.log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LAST_LINES:])


def _run_afresh(name: str, *arguments: str) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="bulkhead-fuzz-") as corpus:
        return _run(name, *arguments, "--corpus", corpus)


def _run(name: str, *arguments: str) -> Outcome:
    folder = folder_of(name)
    folder.mkdir(parents=True, exist_ok=True)
    before = _findings(folder)
    log = folder / "log"
    began = time.monotonic()
    with log.open("wb") as output:
        command = [sys.executable, "-m", "tests.fuzz.runner", name, *arguments]
        ended = subprocess.run(
            command,
            cwd=CHECKOUT,
            env=os.environ | {"PYTHONHASHSEED": "0"},  # the order of sets is part of the way
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    seconds = time.monotonic() - began
    said = log.read_text(encoding="utf-8", errors="replace")
    covered = _COVERED.findall(said)
    edges, inputs = covered[-1] if covered else (0, 0)
    return Outcome(
        name=name,
        executions=_number(_EXECUTIONS, said),
        seconds=seconds,
        per_second=_number(_PER_SECOND, said),
        edges=int(edges),
        inputs=int(inputs),
        findings=tuple(sorted(_findings(folder) - before)),
        failed=ended.returncode != 0,
        log=log,
    )


def _number(pattern: re.Pattern[str], said: str) -> int:
    """The number that the log says, 0 where it says none."""
    found = pattern.search(said)
    return int(found[1]) if found else 0


def _findings(folder: Path) -> set[Path]:
    return {path for pattern in FINDINGS for path in folder.glob(pattern)}
