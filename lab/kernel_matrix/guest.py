"""What a guest is given: a small Debian, this checkout's sources and environment, and one command.

Everything lies at the same path as on this machine, so that the environment's own links hold.
"""

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from lab.vm import cache
from lab.vm.accelerator import Accelerator
from lab.vm.debian import Mirrors
from lab.vm.image import Disk, folder_image, system_image
from lab.vm.initramfs import Plan
from lab.vm.kernel import Kernel
from lab.vm.machine import Guest

CHECKOUT = Path(__file__).resolve().parents[2]
SYSTEM_PACKAGES = ("mount", "passwd", "procps", "python3", "python3-bpfcc", "python3-seccomp")
NOT_GIVEN = (".*", "build", "dist", "node_modules")
"""Names in the checkout that no test needs: what is made here, and the repository."""

STAMP = "bulkhead-stamp.json"
"""In an environment, what it was made from (scripts/machine/environment.py)."""

TESTS = "tests/kernel"


def environment() -> Path:
    """Where this checkout's environment really lies."""
    return (CHECKOUT / ".venv").resolve()


def disks(mirrors: Mirrors) -> tuple[Disk, ...]:
    """System and environment are kept; the sources are put into an image anew."""
    return (
        Disk(system_image(SYSTEM_PACKAGES, mirrors), "/"),
        Disk(sources_image(), str(CHECKOUT)),
        Disk(environment_image(), str(environment())),
    )


def environment_image() -> Path:
    """The environment as set-up made it, kept until it is made anew."""
    stamp = (environment() / STAMP).read_text(encoding="utf-8")
    kept = cache.FOLDER / f"environment-{cache.digest(stamp)}.ext4"
    if not kept.exists():
        folder_image(environment(), kept)
    return kept


def sources_image() -> Path:
    """The checkout as it is now, compiled modules included, which are slow to make in a guest."""
    image = cache.FOLDER / "sources.ext4"
    with cache.scratch() as scratch:
        content = scratch / "sources"
        shutil.copytree(CHECKOUT, content, symlinks=True, ignore=shutil.ignore_patterns(*NOT_GIVEN))
        folder_image(content, image)
    return image


def guest(
    kernel: Kernel, given: Sequence[Disk], accelerator: Accelerator, pytest_arguments: str
) -> Guest:
    """A guest that runs the tests of the probes."""
    plan = Plan(given, command(accelerator.time_factor, pytest_arguments))
    return Guest(kernel, plan, accelerator)


def command(time_factor: float, pytest_arguments: str) -> str:
    """The script that runs in a guest: nothing may be skipped there that an image could bring."""
    python = environment() / "bin" / "python"
    pytest = [python, "-m", "pytest", "-p", "tests.outcome_lines", TESTS]
    words = [*map(str, pytest), *shlex.split(pytest_arguments)]
    return "\n".join(
        [
            f"cd {shlex.quote(os.fspath(CHECKOUT))} || exit 1",
            "export BULKHEAD_FORBID_SKIPS=1 BULKHEAD_DISPOSABLE=1 NO_COLOR=1",
            f"export BULKHEAD_TIME_FACTOR={time_factor:g}",
            f'exec {shlex.join(words)} --outcome-lines "$GUEST_RESULTS"',
            "",
        ]
    )
