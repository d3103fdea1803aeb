"""How soon is a host protected that boots, also with bad content and after power cuts?"""

import sys
from collections.abc import Iterator

from bench.harness import Figure, Note, NotMeasurableError, run
from lab.boot import laboratory
from lab.boot.cuts import Found
from lab.boot.findings import BootFindings
from lab.boot.laboratory import PARTS, Wanted
from lab.boot.report import BootResult, Report, broken
from lab.vm.errors import VmError

NOT_QUICK = (
    "Left out of the short form: it starts virtual machines, for minutes each. "
    "`make boot-lab` runs it alone."
)


def measure(*, quick: bool) -> list[Figure | Note]:
    """What the boot laboratory finds, all parts of it."""
    if quick:
        return [Note(NOT_QUICK)]
    try:
        report = laboratory.run(Wanted(PARTS), lambda line: print(f"bench: boot: {line}"))
    except VmError as error:
        raise NotMeasurableError(str(error)) from error
    return figures(report)


def figures(report: Report) -> list[Figure | Note]:
    """The figures of a report."""
    found: list[Figure | Note] = []
    for result in report.boots:
        found += _boot_figures(result)
        found += _notes(result)
    if report.cuts_wanted:
        found += _cut_figures(report)
    choice = report.choice
    found.append(
        Note(
            f"Guests: kernel {report.kernel}, accelerator {choice.accelerator.name}. "
            + (
                f"Processors are emulated: the sensor's time limits are {report.factor:g} times "
                "longer, and only the probes of process, ipc and network are compiled. Seconds "
                "are what this machine took, whatever else it did meanwhile."
                if report.factor > 1
                else "The shipped unit as it is."
            )
        )
    )
    return found


def _boot_figures(result: BootResult) -> Iterator[Figure]:
    findings = result.findings
    if findings is None:
        return
    for what, value in _seconds(findings).items():
        if value is not None:
            yield Figure(f"{result.name}: {what}", value, "s")
    if findings.programs_before is not None:
        what = "programs started before the probes were attached"
        yield Figure(f"{result.name}: {what}", findings.programs_before, "programs")
    if findings.running_before is not None and findings.judged_before is not None:
        running, judged = findings.running_before, findings.judged_before
        yield Figure(f"{result.name}: processes that ran already", running, "processes")
        what = "of these, not judged"
        yield Figure(f"{result.name}: {what}", running - judged, "processes", "= 0")
    what = "ordinary services started before the sensor was ready"
    yield Figure(f"{result.name}: {what}", len(findings.early), "services", "= 0")
    yield Figure(
        f"{result.name}: ordinary services started after it", findings.ordinary, "services"
    )
    yield Figure(f"{result.name}: evaluators that died", findings.deaths, "deaths")
    yield Figure(f"{result.name}: canaries not detected", findings.missed, "canaries", "= 0")
    if findings.protected is not None:
        what, bar = "to protection that lasts", "<= 30"
        yield Figure(f"{result.name}: kernel start {what}", findings.protected, "s", bar)
        yield Figure(f"{result.name}: ready {what}", findings.protected_after_boot, "s", bar)


def _seconds(findings: BootFindings) -> dict[str, float | None]:
    return {
        "kernel start to the sensor's start": findings.unit_started,
        "kernel start to READY=1": findings.ready,
        "kernel start to the first canary detected": findings.first_detected,
        "longest wait for a detection": findings.longest_wait,
    }


def _notes(result: BootResult) -> Iterator[Note]:
    if result.complaint:
        yield Note(f"{result.name}: {result.complaint}")


def _cut_figures(report: Report) -> Iterator[Figure]:
    cuts = report.cuts
    yield Figure("power cuts", len(cuts), "cuts", bar=f">= {report.cuts_wanted}")
    yield Figure("power cuts amid a commit", sum(one.under_way for one in cuts), "cuts")
    for one in (Found.OLD, Found.NEW):
        yield Figure(f"power cuts: {one} content found", sum(c.found is one for c in cuts), "cuts")
    yield Figure("power cuts: neither, or damaged", broken(cuts), "cuts", bar="= 0")
    if report.control is not None:
        what = "power cuts of a store that forgets fsync: noticed"
        yield Figure(what, broken(report.control), "cuts", bar=">= 1")


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
