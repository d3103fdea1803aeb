"""Set this machine up for Bulkhead: Debian packages, system users, the Python environment.

Does what is missing and nothing else, so that a second run takes a fraction of a second. Without
root and without sudo it does what needs neither and says what stays missing. May be interrupted at
any moment: the next run goes on.
"""

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.machine import accounts, environment, packages, place
from scripts.machine.progress import SetupError, say
from scripts.machine.rights import can_act_as_root

INTERRUPTED = 130
CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Set up; the exit status is 0, 1 with a reason on standard error, or 130 if interrupted."""
    try:
        arguments = _arguments()
        set_up(
            *(packages.FOR_LINT if arguments.for_lint else ()),
            *(packages.FOR_TESTS if arguments.for_tests else ()),
            *(packages.FOR_BENCH if arguments.for_bench else ()),
            *(packages.FOR_VMS if arguments.for_vms else ()),
            *(packages.FOR_VAGRANT if arguments.for_vagrant else ()),
        )
    except SetupError as error:
        print(f"set-up: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: interrupted; the next run goes on from here", file=sys.stderr)
        return INTERRUPTED
    return 0


def set_up(*further: packages.DebianPackage) -> None:
    """Do everything that is missing, one set-up of a checkout at a time."""
    began = time.monotonic()
    with _alone():
        packages.install((*packages.NEEDED, *further))
        accounts.create()
        where = place.choose(CHECKOUT, roles_have_users=can_act_as_root())
        environment.make(where)
    say(f"ready after {time.monotonic() - began:.1f} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/setup", description=__doc__)
    parser.add_argument("--for-lint", action="store_true", help="also what only lint needs (npm)")
    parser.add_argument("--for-tests", action="store_true", help="also a browser, for its tests")
    parser.add_argument("--for-bench", action="store_true", help="also what bench compares with")
    parser.add_argument("--for-vms", action="store_true", help="also what virtual machines need")
    parser.add_argument("--for-vagrant", action="store_true", help="also Vagrant with libvirt")
    return parser.parse_args()


@contextmanager
def _alone() -> Iterator[None]:
    """Hold this checkout's set-up lock; a second set-up waits for the first."""
    descriptor = os.open(CHECKOUT, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up of this checkout")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
