"""Run the tests of the probes on Debian's kernels, one virtual machine after the other.

Prints a line per kernel and writes build/kernel-matrix/report.json. What a guest's console said is
kept beside it. Exit status: 0 if all passed, 1 if one failed, 3 if none failed but one could not be
tried, 130 if interrupted.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence

from content.escape import safe
from lab.kernel_matrix import guest, outcomes, report
from lab.kernel_matrix.kernels import COMMAND_SECONDS, KERNELS, MatrixKernel
from lab.kernel_matrix.report import KernelResult, Matrix, State
from lab.vm import debian, kernel, machine, probe
from lab.vm.alone import alone
from lab.vm.errors import VmError
from lab.vm.probe import Choice

FOLDER = guest.CHECKOUT / "build" / "kernel-matrix"
REPORT = FOLDER / "report.json"

ALL_PASSED = 0
ONE_FAILED = 1
ONE_NOT_TRIED = 3
INTERRUPTED = 130


def main() -> int:
    """The command; its exit status."""
    arguments = _arguments()
    # Whoever ends us wants guests and half-built images gone as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted = [one for one in KERNELS if not arguments.releases or one.release in arguments.releases]
    try:
        with alone(FOLDER, "kernel matrix"):
            results = try_all(wanted, arguments.pytest_arguments)
    except VmError as error:
        say(f"error: {error}")
        return ONE_NOT_TRIED
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    return exit_status(results)


def try_all(wanted: Sequence[MatrixKernel], pytest_arguments: str) -> list[KernelResult]:
    """Make what guests are given, then try each kernel; the report grows with every result."""
    kernel.require_architecture()
    mirrors = debian.configured_mirrors()
    began = time.monotonic()
    given = guest.disks(mirrors)
    matrix = Matrix(images_seconds=time.monotonic() - began)
    say(f"images ready after {matrix.images_seconds:.1f} s")
    for one in wanted:
        try:
            found = kernel.kernel_of(one.release, mirrors)
        except VmError as error:
            matrix.results.append(report.could_not_be_had(one, str(error)))
        else:
            matrix.choice = matrix.choice or _chosen(found)
            accelerator = matrix.choice.accelerator
            matrix.results.append(
                _try(one, guest.guest(found, given, accelerator, pytest_arguments))
            )
        for line in report.lines(matrix.results[-1]):
            say(line)
        report.write(REPORT, report.document(matrix))
    say(f"report: {REPORT}")
    return matrix.results


def exit_status(results: Sequence[KernelResult]) -> int:
    """A failure outweighs a kernel that could not be tried."""
    states = {result.state for result in results}
    if State.FAILED in states:
        return ONE_FAILED
    return ONE_NOT_TRIED if State.SKIPPED in states else ALL_PASSED


def say(text: str) -> None:
    """One line, at once: a guest may take long."""
    sys.stdout.write(f"kernel-matrix: {text}\n")
    sys.stdout.flush()


def _try(one: MatrixKernel, wanted: machine.Guest) -> KernelResult:
    outcome = machine.run(wanted, FOLDER / one.release, COMMAND_SECONDS)
    session = outcomes.read(outcome.results)
    return report.judge(one, wanted.kernel.version, outcome, session)


def _chosen(found: kernel.Kernel) -> Choice:
    choice = probe.choose(found)
    say(f"accelerator {choice.accelerator.name}: {safe(choice.because)}")
    return choice


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make kernel-matrix", description=__doc__)
    releases = [one.release for one in KERNELS]
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help=f"of {releases}; else all")
    parser.add_argument("--pytest-arguments", default="", help="as one word, such as '-k exec'")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.releases) - set(releases))
    if unknown:
        parser.error(f"no kernel of {unknown} in the matrix: {releases}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
