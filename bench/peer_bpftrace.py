"""bpftrace as a peer: one script that prints each event, and one that only counts in the kernel."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.harness import NotMeasurableError

OPEN = "tracepoint:syscalls:sys_enter_openat /args->flags & 3/"
EXEC = "tracepoint:sched:sched_process_exec"
CONNECT = "tracepoint:syscalls:sys_enter_connect"
PRINTING_OPENS = (
    f'{OPEN} {{ printf("open %d %d %d %d %s %s\\n", nsecs, pid, uid, args->flags, comm, '
    f"str(args->filename)); }} "
)
PRINTING_EXECS = (
    f'{EXEC} {{ printf("exec %d %d %d %s %s\\n", nsecs, pid, uid, comm, str(args->filename)); }} '
)
PRINTING = (
    f"{PRINTING_OPENS} {PRINTING_EXECS} "
    f'{CONNECT} {{ printf("connect %d %d %d %s %d\\n", nsecs, pid, uid, comm, args->fd); }}'
)
COUNTING = (
    f"{OPEN} {{ @open = count(); }} {EXEC} {{ @exec = count(); }} "
    f"{CONNECT} {{ @connect = count(); }}"
)
MOUNTED = (
    "mount -t tracefs tracefs /sys/kernel/tracing && mount -t debugfs debugfs /sys/kernel/debug; "
    'exec bpftrace "$@"'
)
"""In a mount namespace of its own: this bpftrace looks for tracepoints below debugfs only."""

BUFFER_PAGES = "4096"
"""16 MiB of buffer per processor, where 256 KiB is its default."""

# Settling: until all is attached, and until all is printed.
ATTACH_SECONDS, SETTLE_SECONDS, END_SECONDS = 20.0, 1.0, 30.0
KINDS = ("open", "exec", "connect")


@dataclass(slots=True)
class Bpftrace:
    """A script at work; what it has seen and lost is known once it has ended."""

    pid: int
    lost: int = 0
    seen: dict[str, int] | None = None


@contextmanager
def bpftrace(script: str) -> Iterator[Bpftrace]:
    """A script of ours until the end of the block; NotMeasurableError where it can't be had."""
    if shutil.which("bpftrace") is None:
        raise NotMeasurableError("bpftrace is not installed: run scripts/setup --for-bench")
    with tempfile.TemporaryDirectory(prefix="bulkhead-bpftrace-") as folder:
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        command = ["unshare", "--mount", "sh", "-c", MOUNTED, "sh", "-o", str(output), "-e", script]
        with errors.open("wb") as messages:
            process = subprocess.Popen(
                command,
                stdout=messages,
                stderr=messages,
                env={**os.environ, "BPFTRACE_PERF_RB_PAGES": BUFFER_PAGES},
            )
        watching = Bpftrace(process.pid)
        try:
            _await_attached(process, output, errors)
            yield watching
            time.sleep(SETTLE_SECONDS)
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
            process.kill()
            process.wait()
        watching.seen, watching.lost = _told(output, errors)


def _await_attached(process: subprocess.Popen[bytes], output: Path, errors: Path) -> None:
    deadline = time.monotonic() + ATTACH_SECONDS
    while not (output.exists() and b"Attaching" in output.read_bytes()[:100]):
        if process.poll() is not None or time.monotonic() > deadline:
            said = errors.read_text(errors="replace").strip()[-200:]
            raise NotMeasurableError(f"bpftrace did not start: {said}")
        time.sleep(0.05)
    # It says so before it attaches, and not when it has.
    time.sleep(SETTLE_SECONDS)


def _told(output: Path, errors: Path) -> tuple[dict[str, int], int]:
    """Events by kind, printed or counted, and how many it says that it has lost."""
    seen, lost = dict.fromkeys(KINDS, 0), 0
    for path in (output, errors):
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if counted := re.match(r"@(\w+): (\d+)", line):
                    seen[counted[1]] = int(counted[2])
                elif told := re.match(r"Lost (\d+) events", line):
                    lost += int(told[1])
                elif (kind := line.partition(" ")[0]) in seen:
                    seen[kind] += 1
    return seen, lost
