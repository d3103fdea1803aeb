"""Known workloads: a Python program in a process of its own, whose pid is known."""

import errno
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.patience import patient

SECONDS = patient(30)

PRELUDE = """
import ctypes, os, socket, stat, sys, threading
folder = sys.argv[1]
library = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = library.syscall(ctypes.c_long(number), *arguments)
    return -ctypes.get_errno() if result < 0 else result
def path(name):
    return os.path.join(folder, name)
"""

# A filter of struct sock_filter: loads the number of the call; answers one number, allows the rest.
REFUSING = """
import signal, struct
signal.signal(signal.SIGSYS, lambda *_: None)
def refuse(number, action):
    load, jump, answer = (0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0)
    filters = struct.pack("HBBI" * 4, *load, *jump, *answer, action, *answer, 0x7FFF0000)
    memory = ctypes.create_string_buffer(filters, len(filters))
    program = struct.pack("HxxxxxxP", 4, ctypes.addressof(memory))
    assert library.prctl(38, 1, 0, 0, 0) == 0
    assert library.prctl(22, 2, program, 0, 0) == 0
"""

# SECCOMP_RET_ERRNO, which may be seen as a call that failed; SECCOMP_RET_TRAP, which is no event.
REFUSALS = [(0x00050000 | errno.EACCES, 1), (0x00030000, 0)]


def refused_on_x86(test: Callable[..., None]) -> Callable[..., None]:
    """A test of calls that a filter refuses: each `action`, and how many events are the `most`."""
    with_each = pytest.mark.parametrize(("action", "most"), REFUSALS)
    elsewhere = platform.machine() != "x86_64"
    there = pytest.mark.skipif(elsewhere, reason="the calls have other numbers elsewhere")
    marked: Callable[..., None] = there(with_each(test))
    return marked


def run_python(program: str, folder: Path | str = "", **options: Any) -> int:
    """Run a program behind PRELUDE, in a process of its own; returns its pid.

    options: for subprocess.Popen.
    """
    command = [sys.executable, "-I", "-B", "-S", "-c", PRELUDE + program, str(folder)]
    process = subprocess.Popen(command, **options)
    assert process.wait(SECONDS) == 0
    return process.pid
