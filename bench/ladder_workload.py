"""The workload of bench.ladder: known numbers of short-lived and long-lived things.

Each part is a Python program in a process of its own, so that its events are told from all others
by its pid, and says how many events it must have caused.
"""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

SHORT_PROGRAMS = 200
LONG_PROGRAMS = 10
LONG_SECONDS = 1.5
FILES = 100
SHORT_CONNECTIONS = 100
LONG_CONNECTIONS = 10
LOCAL_CONNECTIONS = 100
FILE_EVENTS_EACH = 4  # created, written to, renamed, removed
CONNECTION_EVENTS_EACH = 2  # connected, accepted


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the workload: its program, whose events count, and how many there must be.

    children: whether the events are those of the program's children, or its own.
    """

    template_type: str
    program: str
    expected: int
    children: bool = False


PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "programs that end at once": Part(
            "process",
            f"for number in range({SHORT_PROGRAMS}):\n"
            "    os.posix_spawn('/bin/true', ['true', str(number)], {})\n"
            "    os.wait()\n",
            SHORT_PROGRAMS,
            children=True,
        ),
        "programs that stay": Part(
            "process",
            f"for number in range({LONG_PROGRAMS}):\n"
            f"    os.posix_spawn('/bin/sleep', ['sleep', f'{LONG_SECONDS}{{number}}'], {{}})\n"
            f"for number in range({LONG_PROGRAMS}):\n"
            "    os.wait()\n",
            LONG_PROGRAMS,
            children=True,
        ),
        "changes of files": Part(
            "file",
            f"for number in range({FILES}):\n"
            "    one, two = f'{folder}/{number}', f'{folder}/{number}-moved'\n"
            "    os.close(os.open(one, os.O_CREAT | os.O_EXCL | os.O_WRONLY))\n"
            "    os.close(os.open(one, os.O_WRONLY))\n"
            "    os.rename(one, two)\n"
            "    os.unlink(two)\n",
            FILES * FILE_EVENTS_EACH,
        ),
        "connections that end at once": Part(
            "network",
            "server = socket.create_server(('127.0.0.1', 0))\n"
            f"for number in range({SHORT_CONNECTIONS}):\n"
            "    client = socket.create_connection(server.getsockname())\n"
            "    accepted, _ = server.accept()\n"
            "    client.close()\n"
            "    accepted.close()\n",
            SHORT_CONNECTIONS * CONNECTION_EVENTS_EACH + 1,
        ),
        "connections that stay": Part(
            "network",
            "server = socket.create_server(('127.0.0.1', 0))\n"
            "clients = [socket.create_connection(server.getsockname())\n"
            f"           for _ in range({LONG_CONNECTIONS})]\n"
            "accepted = [server.accept() for _ in clients]\n"
            f"time.sleep({LONG_SECONDS})\n",
            LONG_CONNECTIONS * CONNECTION_EVENTS_EACH + 1,
        ),
        "local connections": Part(
            "ipc",
            "server = socket.socket(socket.AF_UNIX)\n"
            "server.bind(f'{folder}/socket')\n"
            f"server.listen({LOCAL_CONNECTIONS})\n"
            f"for number in range({LOCAL_CONNECTIONS}):\n"
            "    client = socket.socket(socket.AF_UNIX)\n"
            "    client.connect(f'{folder}/socket')\n"
            "    client.close()\n",
            LOCAL_CONNECTIONS + 1,
        ),
    }
)
"""The parts by name; the name says in words what is to be seen."""

PRELUDE = "import os, socket, sys, time\nfolder = sys.argv[1]\n"


def run_part(part: Part, folder: Path) -> int:
    """Run a part in an empty folder of its own and return its pid."""
    command = [sys.executable, "-I", "-B", "-S", "-c", PRELUDE + part.program, str(folder)]
    process = subprocess.Popen(command)
    if process.wait() != 0:
        raise RuntimeError(f"the workload ended with {process.returncode}")
    return process.pid
