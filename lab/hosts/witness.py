"""Runs a placement on this host through one boot of a cell, and says what happens.

    1. `boot`: which boot of the host this is
    2. the placement is started; canaries are run until one is detected: `protected`
    3. unless it was done in an earlier boot: processes are noted (`before`), the fault is carried
       out (`fault`), and its event is caused again and again
    4. canaries go on until protection has lasted for a while after the last trouble, or the
       placement will not come back by itself (`gone`): then what a person does is done (`repair`)
    5. `after`, `facts`, `done`

Each canary is said when it is run (`ran`) and when it was detected (`detected`), each death when it
is known (`died`): whoever listens has what was said before a host was lost.

Usage: python -m lab.hosts.witness FOLDER PORT
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab.boot.lines import Port
from lab.cells.parts import Delivery
from lab.hosts import order, processes
from lab.hosts.canaries import Canaries
from lab.hosts.choosing import host_of
from lab.hosts.order import Order, OrderError
from lab.hosts.placement import Host, PlacementError

CANARY_SECONDS = 0.25
UNPROTECTED_SECONDS = 1.0
"""Between canaries, and as long as there never was protection: who is starting has better to do."""

LOOK_SECONDS = 0.02
MOST_WRONG = 10
"""Wrong answers that are said."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
FAILED = 1


@dataclass(slots=True)
class Watch:
    """What the steps share."""

    port: Port
    host: Host
    wanted: Order
    folder: Path
    canaries: Canaries
    told: int = 0
    trouble: float = field(default_factory=time.monotonic)
    back: float | None = None
    settled: str = ""
    running_at: dict[int, float] = field(default_factory=dict)
    latest: float = 0.0

    def tick(self) -> None:
        """A canary and a pipe, then a while of looking."""
        # Before it runs: of one that the host does not survive there is a word as well.
        self.port.say("ran", number=self.canaries.ran)
        self.running_at[self.canaries.ran] = time.monotonic()
        self.canaries.run()
        self.canaries.pipe(self.wanted.pipe)
        until = time.monotonic() + (CANARY_SECONDS if self.latest else UNPROTECTED_SECONDS)
        while time.monotonic() < until:
            self.look()
            time.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Say what is new."""
        wrong = len(self.canaries.wrong)
        for number in self.canaries.look(self.host.detections()):
            self._detected(self.running_at[number])
            self.port.say("detected", number=number)
        for text in self.canaries.wrong[wrong:MOST_WRONG]:
            self.port.say("wrong", detection=text)
        deaths = self.host.deaths()
        for one in deaths[self.told :]:
            self.port.say("died", name=one.name, pid=one.pid, how=one.how, ago=time.time() - one.at)
            self.troubled()
        self.told = len(deaths)

    def troubled(self) -> None:
        """Something happened just now that protection has to outlast."""
        self.trouble, self.back = time.monotonic(), None

    def _detected(self, ran_at: float) -> None:
        self.latest = max(self.latest, ran_at)
        if self.back is None and ran_at > self.trouble:
            self.back = ran_at

    def until(self, holds: Callable[[], bool]) -> bool:
        """Go on until something holds; False if it does not within the order's patience."""
        deadline = time.monotonic() + self.wanted.patience_seconds * self.wanted.factor
        while not holds():
            if time.monotonic() > deadline or self.host.gone():
                return False
            self.tick()
        return True

    def calm(self) -> bool:
        """Whether protection came back after the last trouble and has lasted long enough since.

        A process that dies of an event has mostly detected a canary just before. And it has to last
        from when it is known what became of the file: one that has just come in force has yet to
        be evaluated.
        """
        if not self._lasted():
            return False
        settled = self.host.settled()
        if settled != self.settled:
            self.settled = settled
            self.troubled()
        self.look()
        return bool(settled) and self._lasted()

    def _lasted(self) -> bool:
        return self.back is not None and self.latest > self.back + self.wanted.calm_seconds


def main() -> int:
    """The witness; exit status 1 where there is nothing to witness."""
    folder = Path(sys.argv[1])
    port = Port(sys.argv[2])
    port.say("boot", id=BOOT_ID.read_text(encoding="ascii").strip())
    try:
        wanted = order.read(folder)
        host = host_of(wanted, folder)
        with tempfile.TemporaryDirectory(prefix="bulkhead-lab-", dir="/run") as scratch:
            watch = Watch(port, host, wanted, folder, Canaries(Path(scratch)))
            _witness(watch)
    except (OrderError, PlacementError) as error:
        port.say("failed", why=str(error))
        return FAILED
    port.say("done")
    return 0


def _witness(watch: Watch) -> None:
    host, port = watch.host, watch.port
    host.start()
    try:
        fresh = not order.acted(watch.folder)
        if fresh and watch.wanted.delivery is Delivery.PRESENT:
            order.act(watch.folder)
            port.say("fault")
        if watch.until(lambda: watch.latest > 0):
            port.say("protected")
        elif fresh and watch.wanted.delivery is not Delivery.PRESENT:
            raise PlacementError(f"NOT_PROTECTED: before the fault: {_why(watch)}")
        before = processes.alive(os.getpid())
        if fresh and watch.wanted.delivery is Delivery.PUSHED:
            _push(watch)
        if fresh and watch.wanted.delivery is Delivery.POWER_CUT:
            _update_for_ever(watch)
        if not watch.until(watch.calm):
            _repair(watch)
        port.say("after", died=processes.died(before, processes.alive(os.getpid())))
        port.say(
            "facts", **host.facts(), settled=host.settled(), wrong=watch.canaries.wrong[:MOST_WRONG]
        )
    finally:
        host.stop()


def _push(watch: Watch) -> None:
    order.act(watch.folder)
    watch.port.say("fault")
    watch.host.push()
    watch.troubled()


def _update_for_ever(watch: Watch) -> None:
    """Until somebody cuts the power."""
    order.act(watch.folder)
    watch.port.say("fault")
    while True:
        watch.host.push()
        watch.port.say("updated")
        watch.look()


def _why(watch: Watch) -> str:
    return watch.host.gone() or "no protection in time"


def _repair(watch: Watch) -> None:
    watch.port.say("gone", why=_why(watch))
    for step in watch.host.repair():
        watch.port.say("repair", step=step)
    watch.port.say("repaired")
    watch.troubled()
    if not watch.until(lambda: watch.back is not None):
        watch.port.say("failed", why="no protection after the repair")


if __name__ == "__main__":
    sys.exit(main())
