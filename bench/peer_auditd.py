"""auditd as a peer: started with rules of ours, and the audit system put back as it was found.

Order: note status and rules → set aside `never,task` (which keeps tasks out of auditing) → our
rules → auditd → … → auditd ended → our rules removed → what was set aside and the settings that
were found put back; also on failure and on Ctrl-C. An audit system that somebody uses (a daemon at
work, or settings that are locked) is left alone.

What can't be put back: once auditing was enabled, the kernel gives each new task an audit context
until the next boot, whatever the settings; `never,task` ends that for tasks that start later.
"""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.harness import NotMeasurableError

KEY = "bulkhead-bench"
NO_TASKS = ("never,task",)
RULE = ("always,exit", "-F", "arch=b64")
EXECVE = (*RULE, "-S", "execve", "-k", f"{KEY}-exec")
OPENAT = (*RULE, "-S", "openat", "-F", "a2&3", "-k", f"{KEY}-open")
BACKLOG = "8192"
BACKLOG_WAIT = "60000"
"""As in the rules that Debian ships."""

START_SECONDS, END_SECONDS = 10.0, 60.0
CONFIGURATION = """\
local_events = yes
write_logs = yes
log_file = {folder}/audit.log
log_group = root
log_format = ENRICHED
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 2000
max_log_file_action = IGNORE
num_logs = 0
priority_boost = 4
name_format = NONE
space_left = 75
space_left_action = IGNORE
admin_space_left = 50
admin_space_left_action = SUSPEND
disk_full_action = SUSPEND
disk_error_action = SUSPEND
q_depth = 2000
overflow_action = IGNORE
plugin_dir = {folder}/plugins.d
"""
"""Debian's settings but for the log, which is ours alone and is not rotated away."""


@dataclass(slots=True)
class Auditd:
    """A daemon at work; what it has seen and lost is known once it has ended."""

    pid: int
    log: Path
    lost: int = 0
    seen: dict[str, int] | None = None


@contextmanager
def auditd(rules: Sequence[Sequence[str]]) -> Iterator[Auditd]:
    """The daemon with these rules; NotMeasurableError with the reason where it can't be had."""
    found = _status()
    with contextlib.ExitStack() as undo:
        _set_aside(undo)
        undo.callback(_control, "-e", found["enabled"])
        undo.callback(_control, "--backlog_wait_time", found["backlog_wait_time"])
        undo.callback(_control, "-b", found["backlog_limit"])
        _control("-b", BACKLOG)
        _control("--backlog_wait_time", BACKLOG_WAIT)
        for rule in rules:
            _control("-a", *rule)
            undo.callback(_control, "-d", *rule)
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="bulkhead-auditd-")))
        watching = Auditd(undo.enter_context(_daemon(folder)), folder / "audit.log")
        lost = int(_status_now()["lost"])
        yield watching
        _flushed(watching.log)
        watching.lost = int(_status_now()["lost"]) - lost
        watching.seen = _counted(watching.log)


def _status() -> dict[str, str]:
    """What the audit system says of itself, if nobody uses it."""
    if shutil.which("auditctl") is None or shutil.which("auditd") is None:
        raise NotMeasurableError("auditd is not installed: run scripts/setup --for-bench")
    found = _status_now()
    if found.get("pid", "0") != "0":
        raise NotMeasurableError(f"an audit daemon is at work (pid {found['pid']}): left alone")
    if found.get("enabled") not in ("0", "1"):
        raise NotMeasurableError(f"audit settings are locked (enabled {found.get('enabled')})")
    return found


def _status_now() -> dict[str, str]:
    lines = _control("-s").splitlines()
    return dict(line.split(maxsplit=1) for line in lines if " " in line)


def _set_aside(undo: contextlib.ExitStack) -> None:
    if any("never,task" in line for line in _control("-l").splitlines()):
        _control("-d", *NO_TASKS)
        undo.callback(_control, "-a", *NO_TASKS)


@contextmanager
def _daemon(folder: Path) -> Iterator[int]:
    configuration = folder / "auditd.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder), encoding="ascii")
    configuration.chmod(0o640)
    (folder / "plugins.d").mkdir()
    daemon = subprocess.Popen(["auditd", "-n", "-s", "enable", "-c", str(folder)])
    try:
        deadline = time.monotonic() + START_SECONDS
        while _status_now().get("pid") != str(daemon.pid) or _status_now()["enabled"] != "1":
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise NotMeasurableError(f"auditd did not start: exit status {daemon.poll()}")
            time.sleep(0.05)
        yield daemon.pid
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(END_SECONDS)


def _flushed(log: Path) -> None:
    """Wait until the kernel's backlog is empty and the log no longer grows."""
    deadline = time.monotonic() + END_SECONDS
    size = -1
    while time.monotonic() < deadline:
        now = log.stat().st_size
        if now == size and int(_status_now()["backlog"]) == 0:
            return
        size = now
        time.sleep(0.3)


def _counted(log: Path) -> dict[str, int]:
    """Events in the log by the kind in our key."""
    seen = {"open": 0, "exec": 0}
    with log.open("rb") as lines:
        for line in lines:
            if line.startswith(b"type=SYSCALL "):
                for kind in seen:
                    seen[kind] += f'key="{KEY}-{kind}"'.encode() in line
    return seen


def _control(*arguments: str) -> str:
    ended = subprocess.run(
        ["auditctl", *arguments], check=False, capture_output=True, text=True, timeout=10
    )
    if ended.returncode != 0:
        raise NotMeasurableError(f"auditctl {' '.join(arguments)}: {ended.stderr.strip()}")
    return ended.stdout
