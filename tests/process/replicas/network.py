"""A network of its own for one process, which can be cut off as a broken cable would."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.needs import require_command, require_root


@dataclass(frozen=True)
class Network:
    """Where the others are (`here`), where the process is (`there`), how it is started."""

    number: int

    @property
    def name(self) -> str:
        """Of the namespace, and with `o` and `i` of the cable's ends."""
        return f"bhr{self.number}"

    @property
    def here(self) -> str:
        """The address on this side."""
        return f"10.213.{self.number % 250}.1"

    @property
    def there(self) -> str:
        """The address inside."""
        return f"10.213.{self.number % 250}.2"

    @property
    def begins_with(self) -> tuple[str, ...]:
        """What starts a command inside."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Nothing arrives any more, and nobody is told."""
        _ip("-n", self.name, "link", "set", f"{self.name}i", "down")

    def mend(self) -> None:
        """As before."""
        _ip("-n", self.name, "link", "set", f"{self.name}i", "up")


@contextmanager
def new_network() -> Iterator[Network]:
    """A namespace with one cable to this one; other test runs may have theirs."""
    require_root()
    require_command("ip", "iproute2")
    network = Network(os.getpid())
    name, outside, inside = network.name, f"{network.name}o", f"{network.name}i"
    if subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode:
        pytest.skip("needs network namespaces (root with CAP_SYS_ADMIN)")
    try:
        _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
        _ip("addr", "add", f"{network.here}/30", "dev", outside)
        _ip("link", "set", outside, "up")
        _ip("-n", name, "addr", "add", f"{network.there}/30", "dev", inside)
        _ip("-n", name, "link", "set", inside, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield network
    finally:
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
