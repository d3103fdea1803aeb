"""The figures of boots and power cuts are those of the laboratory's report."""

from dataclasses import replace

from bench.boot import figures, measure
from bench.harness import Figure, Note, meets
from lab.boot.cuts import Cut, Found
from lab.boot.findings import BootFindings
from lab.boot.report import BootResult, Report
from lab.vm.accelerator import KVM, TCG
from lab.vm.probe import Choice

SEEN = BootFindings(
    unit_started=2.0,
    ready=5.0,
    collecting=4.5,
    witness_started=5.1,
    first_detected=6.2,
    protected=6.2,
    protecting_at_start=True,
    longest_wait=0.4,
    missed=0,
    early=(),
    ordinary=9,
    programs_before=31,
    running_before=12,
    judged_before=12,
    rung="bpf_btf",
    reduced=(),
    deaths=0,
    quarantined=0,
    restarts=0,
    status_line="protecting",
)
CUT = Cut(1.0, 7, under_way=True, found=Found.NEW, why="", boot_seconds=4.0, agent_seconds=3.0)


def report(*boots: BootResult, kvm: bool = True) -> Report:
    """A report of some boots and of three cuts, one of them broken."""
    made = Report("6.1", Choice(KVM if kvm else TCG, "why"), list(boots))
    made.cuts = [CUT, replace(CUT, found=Found.OLD), replace(CUT, found=Found.BROKEN)]
    made.control, made.cuts_wanted = [replace(CUT, found=Found.BROKEN)], 20
    return made


def by_name(found: list[Figure | Note]) -> dict[str, Figure]:
    """Figures without notes."""
    return {one.name: one for one in found if isinstance(one, Figure)}


def missed(found: list[Figure | Note]) -> set[str]:
    """Names of figures that miss their bars."""
    named = by_name(found).values()
    return {one.name for one in named if one.bar is not None and not meets(one.bar, one.value)}


def test_a_good_boot_meets_its_bars() -> None:
    """A good boot would be shown as a missed aim."""
    found = figures(report(BootResult("boot", SEEN)))
    assert by_name(found)["boot: kernel start to READY=1"].value == 5.0
    assert by_name(found)["boot: programs started before the probes were attached"].value == 31
    assert not any(name.startswith("boot") for name in missed(found))


def test_what_failed_misses_its_bar() -> None:
    """Lost detections, late protection and broken stores would be published as met."""
    bad = replace(SEEN, protected=40.0, missed=1, judged_before=11, early=("cron.service",))
    found = figures(report(BootResult("boot", bad)))
    assert missed(found) == {
        "boot: kernel start to protection that lasts",
        "boot: ready to protection that lasts",
        "boot: canaries not detected",
        "boot: of these, not judged",
        "boot: ordinary services started before the sensor was ready",
        "power cuts",
        "power cuts: neither, or damaged",
    }


def test_a_boot_that_showed_nothing_is_said() -> None:
    """A guest that never came up would leave no trace on the page."""
    notes = [
        one.text
        for one in figures(report(BootResult("boot", None, "why")))
        if isinstance(one, Note)
    ]
    assert notes[0] == "boot: why"


def test_emulation_is_named() -> None:
    """Figures of an emulated processor would be read as those of a host."""
    last = figures(report(kvm=False))[-1]
    assert isinstance(last, Note)
    assert "accelerator tcg" in last.text
    assert "10 times longer" in last.text


def test_short_form_starts_no_machine() -> None:
    """CI would wait for virtual machines, or fail where it can't have them."""
    (note,) = measure(quick=True)
    assert isinstance(note, Note)
