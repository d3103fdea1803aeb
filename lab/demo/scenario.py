"""Real behaviour for the sensor to see: harmless commands in a scratch folder and on loopback.

Each behaviour names the shipped Template Instance that must detect it. The background is what
people do all day, and must not be detected at all.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

COMMAND_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Something that happens: in words, its Template Type, and the instance that detects it."""

    words: str
    template_type: str
    instance: str
    act: Callable[[Path], None]


def shell(command: str, folder: Path) -> int:
    """Run a shell command in the scratch folder; its exit status."""
    return subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=folder,
        check=False,
        capture_output=True,
        timeout=COMMAND_SECONDS,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    ).returncode


def commands(*lines: str) -> Callable[[Path], None]:
    """A behaviour that is a few shell commands; their exit status is of no matter."""

    def act(folder: Path) -> None:
        for line in lines:
            shell(line, folder)

    return act


def background(folder: Path) -> int:
    """Ordinary commands; returns how many programs were run."""
    lines = [
        "ls -la /etc /usr/bin",
        "cat /etc/hostname /etc/os-release",
        "grep -r root /etc/passwd",
        "mkdir -p work/src && cp /etc/hostname work/src/name.txt",
        "mv work/src/name.txt work/src/host.txt",
        "sed -i s/a/b/ work/src/host.txt",
        "find /usr/share/doc -maxdepth 1 -name 'b*'",
        "tar -C work -cf work.tar src && gzip -f work.tar",
        "sort /etc/passwd | uniq | wc -l",
        "date; uname -a; id; whoami; df -h; ps aux",
        "chmod 644 work/src/host.txt; touch work/new.txt; rm work/new.txt",
        "git --version; make --version; gcc --version",
        f"{sys.executable} -c 'print(sum(range(1000)))'",
        "apt-cache policy bash",
    ]
    for line in lines:
        shell(line, folder)
    _talk_on_loopback()
    return len(lines)


def exec_canary(folder: Path, token: str) -> None:
    """Run a program whose name the shipped canary instance knows."""
    program = folder / f"bulkhead-canary-{token}"
    if not program.exists():
        shutil.copy("/bin/true", program)
    subprocess.run([program], check=False, timeout=COMMAND_SECONDS)


def prevented(folder: Path) -> int:
    """Run the program that shipped content prevents; its exit status (negative: the signal)."""
    program = folder / "bulkhead-canary-prevented"
    shutil.copy("/bin/sleep", program)
    return subprocess.run([program, "5"], check=False, timeout=COMMAND_SECONDS).returncode


def ipc_event(folder: Path) -> None:
    """One inter-process communication event: a FIFO with an ordinary name."""
    path = folder / "ordinary.fifo"
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _talk_on_loopback() -> None:
    """An ordinary connection: a server on a free port, a client, a few bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"hello\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with socket.create_connection(server.getsockname(), timeout=5.0) as client:
            client.recv(16)
        thread.join(5.0)


def listed(behaviours: Sequence[Behaviour]) -> str:
    """The Template Types that these cover."""
    return ", ".join(sorted({one.template_type for one in behaviours}))
