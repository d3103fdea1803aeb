"""A network of its own for one process, which can be cut off as a broken cable would."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.needs import require_command, require_root

HERE = "10.213.77.1"
THERE = "10.213.77.2"
INSIDE = "bhr-inside"


@dataclass(frozen=True)
class Network:
    """Where the others are (`here`), where the process is (`there`), how it is started."""

    name: str
    here: str = HERE
    there: str = THERE

    @property
    def begins_with(self) -> tuple[str, ...]:
        """What starts a command inside."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Nothing arrives any more, and nobody is told."""
        _ip("-n", self.name, "link", "set", INSIDE, "down")

    def mend(self) -> None:
        """As before."""
        _ip("-n", self.name, "link", "set", INSIDE, "up")


@contextmanager
def new_network(name: str = "bhr-replica") -> Iterator[Network]:
    """A namespace with one cable to this one."""
    require_root()
    require_command("ip", "iproute2")
    if subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode:
        pytest.skip("needs network namespaces (root with CAP_SYS_ADMIN)")
    try:
        _ip("link", "add", "bhr-outside", "type", "veth", "peer", "name", INSIDE, "netns", name)
        _ip("addr", "add", f"{HERE}/30", "dev", "bhr-outside")
        _ip("link", "set", "bhr-outside", "up")
        _ip("-n", name, "addr", "add", f"{THERE}/30", "dev", INSIDE)
        _ip("-n", name, "link", "set", INSIDE, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield Network(name)
    finally:
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
