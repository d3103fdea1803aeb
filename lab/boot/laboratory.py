"""The parts of the boot laboratory, one after the other, each on disks of its own.

boot       a host with shipped content in force
bad-boot   one where content is in force that kills the evaluator, then the same host again
cuts       power cuts amid updates, and a few of a store that forgets fsync, which must show
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cloud.signing import SigningKey
from lab.boot import cuts, findings, guest, state, updates
from lab.boot import report as reports
from lab.boot.guest import Given
from lab.boot.lines import read
from lab.boot.report import BootResult, Report
from lab.kernel_matrix.guest import CHECKOUT
from lab.vm import debian, kernel, machine, probe
from lab.vm.alone import alone
from lab.vm.image import Disk, machine_release
from lab.vm.machine import Ending

FOLDER = CHECKOUT / "build" / "boot-lab"
REPORT = FOLDER / "report.json"

BOOT, BAD_BOOT, CUTS = "boot", "bad-boot", "cuts"
PARTS = (BOOT, BAD_BOOT, CUTS)
HOST_SECONDS = 120.0
"""From the kernel's start to the first ordinary service, on a processor of its own."""

WITNESS_SECONDS = 120.0
"""From the first ordinary service to the end, on a processor of its own."""

CONTROL_CUTS = 2

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """Which parts, how many power cuts, and the seed of their moments."""

    parts: tuple[str, ...] = PARTS
    cuts: int = 20
    seed: int = 19


@dataclass(slots=True)
class Laboratory:
    """What the parts share."""

    given: Given
    report: Report
    say: Say
    began: float = field(default_factory=time.monotonic)

    def boot(self) -> None:
        """A host with shipped content in force."""
        folder = self._fresh(BOOT)
        state.write_shipped(folder / "state", self.given.key)
        self._host("boot", folder, self._disk(folder), unchecked=False)

    def bad_boot(self) -> None:
        """Content is in force that kills the evaluator; after that, the same host once more."""
        folder = self._fresh(BAD_BOOT)
        state.write_with_july_2024(folder / "state", self.given.key)
        disk = self._disk(folder)
        self._host("boot with bad content", folder / "first", disk, unchecked=True)
        self._host("the next boot", folder / "second", disk, unchecked=True)

    def power_cuts(self, wanted: Wanted) -> None:
        """Cuts that must leave old or new, and some of a store that must be found out."""
        self.report.cuts_wanted, self.report.seed = wanted.cuts, wanted.seed
        self.report.cuts = self._cut("cuts", wanted.cuts, wanted.seed, "")
        self.say(reports.cuts_line(self.report.cuts))
        self.say("control: the same with a store that forgets fsync")
        self.report.control = self._cut("control", CONTROL_CUTS, wanted.seed, updates.FORGET)
        self.write()

    def write(self) -> None:
        """Keep what is known so far."""
        self.report.seconds = time.monotonic() - self.began
        reports.write(REPORT, self.report)

    def _cut(self, name: str, count: int, seed: int, options: str) -> list[cuts.Cut]:
        folder = self._fresh(name)
        state.write_process(folder / "state", self.given.key)
        over = guest.put_over(folder / "over", self.given.key, unchecked=False)
        numbers = iter(range(1, count + 1))
        plan = cuts.Plan(count, seed, lambda cut: self.say(reports.cut_line(next(numbers), cut)))
        subject = guest.updated(self.given, over, self._disk(folder), options)
        return cuts.run(subject, folder / "run", plan)

    def _host(self, name: str, folder: Path, disk: Disk, *, unchecked: bool) -> None:
        factor = self.given.accelerator.time_factor
        over = guest.put_over(folder / "over", self.given.key, unchecked=unchecked, factor=factor)
        subject = guest.host(self.given, over, disk)
        outcome = machine.run(subject, folder / "run", WITNESS_SECONDS, HOST_SECONDS)
        try:
            result = BootResult(name, findings.read(read(outcome.results)))
        except findings.IncompleteError as error:
            result = BootResult(name, None, f"{error}; the guest ended with {outcome.ending}")
        if result.findings is not None and outcome.ending is not Ending.FINISHED:
            result = BootResult(name, None, f"the guest ended with {outcome.ending}")
        self.report.boots.append(result)
        for line in reports.boot_lines(result):
            self.say(line)
        self.write()

    def _fresh(self, name: str) -> Path:
        folder = FOLDER / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _disk(self, folder: Path) -> Disk:
        return guest.state_disk(folder / "state", folder / "state.ext4")


def run(wanted: Wanted, say: Say) -> Report:
    """Make what guests are given, then do the parts; VmError where there can be no guest."""
    with alone(FOLDER, "boot laboratory"):
        laboratory = _prepared(say)
        if BOOT in wanted.parts:
            laboratory.boot()
        if BAD_BOOT in wanted.parts:
            laboratory.bad_boot()
        if CUTS in wanted.parts:
            laboratory.power_cuts(wanted)
        say(f"report: {REPORT}")
        return laboratory.report


def _prepared(say: Say) -> Laboratory:
    kernel.require_architecture()
    mirrors = debian.configured_mirrors()
    found = kernel.kernel_of(machine_release(), mirrors)
    disks = guest.disks(mirrors)
    choice = probe.choose(found)
    say(f"kernel {found.version}, accelerator {choice.accelerator.name}: {choice.because}")
    given = Given(found, disks, choice.accelerator, SigningKey.generate())
    return Laboratory(given, Report(found.version, choice), say)
