"""How boots and power cuts went: lines for people, one document for programs, bars that hold."""

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from content.escape import safe
from lab.boot.cuts import Cut, Found
from lab.boot.findings import BootFindings
from lab.vm.probe import Choice


@dataclass(frozen=True, slots=True)
class BootResult:
    """One boot of a host: which one, what it showed, or why it showed nothing."""

    name: str
    findings: BootFindings | None
    reason: str = ""

    @property
    def complaint(self) -> str | None:
        """Why it does not count as passed; None if it does."""
        if self.findings is None:
            return self.reason
        return self.findings.complaint


@dataclass(slots=True)
class Report:
    """All that is known so far.

    control: cuts of a store that forgets fsync; None where that was not tried.
    cuts_wanted: how many cuts there were to be.
    """

    kernel: str
    choice: Choice
    boots: list[BootResult] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    control: list[Cut] | None = None
    cuts_wanted: int = 0
    seed: int = 0
    seconds: float = 0.0

    @property
    def factor(self) -> float:
        """How many times longer the sensor's time limits were."""
        return self.choice.accelerator.time_factor

    @property
    def complaints(self) -> list[str]:
        """What is not as it has to be."""
        said = [f"{one.name}: {one.complaint}" for one in self.boots if one.complaint]
        said += [f"power cut: {one.why}" for one in self.cuts if one.found is Found.BROKEN]
        if len(self.cuts) < self.cuts_wanted:
            said.append(f"{len(self.cuts)} of {self.cuts_wanted} power cuts")
        if self.control is not None and not broken(self.control):
            said.append("a store that forgets fsync went unnoticed: the cuts show nothing")
        return said


def broken(cuts: Sequence[Cut]) -> int:
    """How many left something behind that is neither old nor new."""
    return sum(one.found is Found.BROKEN for one in cuts)


def boot_lines(result: BootResult) -> list[str]:
    """A boot, in words."""
    findings = result.findings
    if findings is None:
        return [f"{result.name}: NOTHING SHOWN: {safe(result.reason)}"]
    verdict = f"FAILED: {safe(findings.complaint)}" if findings.complaint else "protected"
    reduced = f", reduced: {safe(', '.join(findings.reduced))}" if findings.reduced else ""
    return [f"{result.name}: {verdict}; rung {safe(findings.rung)}{reduced}", *_facts(findings)]


def _facts(findings: BootFindings) -> list[str]:
    seconds = {
        "sensor started": findings.unit_started,
        "probes attached": findings.collecting,
        "ready": findings.ready,
        "first ordinary service": findings.witness_started,
        "first canary detected": findings.first_detected,
        "protected for good": findings.protected,
    }
    after = findings.protected_after_boot
    counts = {
        "evaluators died": findings.deaths,
        "files quarantined": findings.quarantined,
        "canaries missed": findings.missed,
        "ordinary services before the sensor was ready": len(findings.early),
        "after": findings.ordinary,
        "programs started before the probes were attached": findings.programs_before,
        "processes that ran already": findings.running_before,
        "judged": findings.judged_before,
    }
    told = ", ".join(f"{name} {_s(value)}" for name, value in seconds.items())
    lasting = _s(after if math.isfinite(after) else None)
    return [
        f"  seconds since the kernel's start: {told}",
        f"  from ready to protection that lasts: {lasting}",
        f"  longest wait for a detection: {_s(findings.longest_wait)}",
        "  " + ", ".join(f"{name}: {_n(count)}" for name, count in counts.items()),
    ]


def cut_line(number: int, cut: Cut) -> str:
    """A power cut, in words."""
    what = "amid a commit" if cut.under_way else "between two updates"
    head = f"power cut {number}, {cut.after_seconds:.1f} s and {cut.updates} updates in, {what}: "
    return head + f"{cut.found}" + (f": {safe(cut.why)}" if cut.why else "")


def cuts_line(cuts: Sequence[Cut]) -> str:
    """All power cuts, in words."""
    counts = ", ".join(f"{sum(c.found is one for c in cuts)} {one}" for one in Found)
    amid = sum(one.under_way for one in cuts)
    return f"{len(cuts)} power cuts, {amid} amid a commit: {counts}"


def document(report: Report) -> dict[str, Any]:
    """The whole report as JSON's kinds of values."""
    choice = report.choice
    return {
        "machine": platform.release(),
        "guest_kernel": report.kernel,
        "accelerator": {"name": choice.accelerator.name, "because": choice.because},
        "time_factor": report.factor,
        "seconds": report.seconds,
        "complaints": report.complaints,
        "boots": [_boot_document(one) for one in report.boots],
        "cuts": {
            "wanted": report.cuts_wanted,
            "seed": report.seed,
            **{str(one): sum(c.found is one for c in report.cuts) for one in Found},
            "each": [asdict(one) for one in report.cuts],
            "without_fsync": None if report.control is None else list(map(asdict, report.control)),
        },
    }


def write(path: Path, report: Report) -> None:
    """Replace the report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(document(report), indent=1) + "\n", encoding="ascii")
    unfinished.replace(path)


def _boot_document(result: BootResult) -> dict[str, Any]:
    findings = None if result.findings is None else asdict(result.findings)
    return {"name": result.name, "complaint": result.complaint, "findings": findings}


def _s(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


def _n(count: int | None) -> str:
    return "not known" if count is None else str(count)
