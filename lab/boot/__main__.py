"""Boot hosts with the sensor in virtual machines, and cut their power amid updates.

Prints what each of them showed and writes build/boot-lab/report.json; consoles are kept beside it.
Exit status: 0 if all was as it has to be, 1 if not, 3 if no virtual machine could be had, 130 if
interrupted.
"""

import argparse
import signal
import sys

from lab.boot.laboratory import PARTS, Wanted, run
from lab.vm.errors import VmError

ALL_PASSED = 0
FAILED = 1
NOT_TRIED = 3
INTERRUPTED = 130


def main() -> int:
    """The command; its exit status."""
    wanted = _arguments()
    # Whoever ends us wants guests and half-built images gone as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        report = run(wanted, say)
    except VmError as error:
        say(f"error: {error}")
        return NOT_TRIED
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    for complaint in report.complaints:
        say(f"FAILED: {complaint}")
    return FAILED if report.complaints else ALL_PASSED


def say(text: str) -> None:
    """One line, at once: a guest may take long."""
    sys.stdout.write(f"boot-lab: {text}\n")
    sys.stdout.flush()


def _arguments() -> Wanted:
    parser = argparse.ArgumentParser(prog="make boot-lab", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {list(PARTS)}; else all")
    parser.add_argument("--cuts", type=int, default=Wanted.cuts, help="power cuts")
    parser.add_argument("--seed", type=int, default=Wanted.seed, help="of their moments")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.parts) - set(PARTS))
    if unknown:
        parser.error(f"no part {unknown}: {list(PARTS)}")
    if arguments.cuts < 1:
        parser.error(f"--cuts {arguments.cuts}: expected 1 or more")
    return Wanted(tuple(arguments.parts) or PARTS, arguments.cuts, arguments.seed)


if __name__ == "__main__":
    sys.exit(main())
