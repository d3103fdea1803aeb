"""When a witness has seen enough, with a placement that says what it is told to."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.boot.lines import Port
from lab.cells.parts import Delivery, Placement
from lab.hosts.canaries import CANARY, Canaries
from lab.hosts.order import Order
from lab.hosts.placement import Death, Detected
from lab.hosts.witness import Watch


@dataclass
class Told:
    """A `Host` that detects all canaries; dies: it settles a file by the death of a process."""

    folder: Path
    ran: int = 0
    dies: bool = True
    died: list[Death] = field(default_factory=list)

    def start(self) -> None:
        """It has begun."""

    def push(self) -> None:
        """It has it."""

    def settled(self) -> str:
        """At once, by a death that happens just now if it dies."""
        if self.dies:
            self.died = [Death("evaluator", 7, "SIGSEGV", time.time())]
        return "in quarantine"

    def detections(self) -> Iterable[Detected]:
        """Of all runs so far."""
        return [Detected(CANARY, f"{self.folder}/bulkhead-canary-{n}") for n in range(self.ran)]

    def deaths(self) -> list[Death]:
        """At most one."""
        return self.died

    def gone(self) -> str:
        """Never."""
        return ""

    def repair(self) -> list[str]:
        """Nothing to do."""
        return []

    def facts(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def stop(self) -> None:
        """It has ended."""


def test_a_death_that_settles_it_is_no_calm(tmp_path: Path) -> None:
    """A contained death would be measured as content that did nothing."""
    said, host = tmp_path / "said", Told(tmp_path)
    said.touch()
    wanted = Order(Placement.SENSOR, Delivery.PUSHED, "pipe", "ab", calm_seconds=5.0)
    watch = Watch(Port(os.fspath(said)), host, wanted, tmp_path, Canaries(tmp_path))
    watch.running_at = {0: watch.trouble + 1.0, 1: watch.trouble + 7.0}
    host.ran = 2
    watch.look()
    assert not watch.calm()
    assert '"died"' in said.read_text()


def test_content_that_has_just_come_in_force_is_waited_for(tmp_path: Path) -> None:
    """A process that dies of the next event would be missed, on a slow host."""
    said, host = tmp_path / "said", Told(tmp_path, dies=False)
    said.touch()
    wanted = Order(Placement.SENSOR, Delivery.PUSHED, "pipe", "ab", calm_seconds=5.0)
    watch = Watch(Port(os.fspath(said)), host, wanted, tmp_path, Canaries(tmp_path))
    watch.running_at = {number: watch.trouble + 7.0 * number + 1.0 for number in range(4)}
    host.ran = 2
    watch.look()
    assert not watch.calm()
    host.ran = 4
    watch.look()
    assert watch.calm()
