"""Make boxes for Vagrant, all of them or those that are named.

The exit status is 0 if they are there, 3 with a reason code where they can't be made, 130 if
interrupted; nothing half made is taken for a box.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence

from lab.boxes import model, pack, registry
from lab.boxes.model import Box
from lab.vm import cache, debian, kernel, probe
from lab.vm.alone import alone
from lab.vm.errors import VmError
from lab.vm.image import machine_release

MADE = 0
NOT_POSSIBLE = 3
INTERRUPTED = 130


def main() -> int:
    """The command; its exit status."""
    wanted = _arguments()
    # Whoever ends us wants half-made boxes gone as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with alone(cache.FOLDER, "making of boxes"):
            _make(wanted)
    except VmError as error:
        say(f"error: {error}")
        return NOT_POSSIBLE
    except KeyboardInterrupt:
        say("interrupted; boxes that were finished stay")
        return INTERRUPTED
    return MADE


def say(text: str) -> None:
    """One line, at once: a box may take minutes."""
    sys.stdout.write(f"boxes: {text}\n")
    sys.stdout.flush()


def _make(wanted: Sequence[Box]) -> None:
    kernel.require_architecture()
    mirrors = debian.configured_mirrors()
    choice = probe.choose(kernel.kernel_of(machine_release(), mirrors))
    say(f"accelerator {choice.accelerator.name}: {choice.because}")
    for box in wanted:
        began = time.monotonic()
        packed = pack.packed(box, mirrors)
        registry.write([packed], choice)
        seconds = time.monotonic() - began
        say(f"{box.name}: {box.title}, kernel {packed.kernel_version}, {seconds:.0f} s")


def _arguments() -> list[Box]:
    known = model.boxes()
    parser = argparse.ArgumentParser(prog="make boxes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {list(known)}; else all")
    names: list[str] = parser.parse_args().names
    unknown = sorted(set(names) - set(known))
    if unknown:
        parser.error(f"BOX_UNKNOWN: no box {unknown}: expected some of {list(known)}")
    return [known[name] for name in names or known]


if __name__ == "__main__":
    sys.exit(main())
