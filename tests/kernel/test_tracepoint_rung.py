"""What is special about the rung without BTF: it starts without it, and how it knows a parent."""

import errno
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from content.definitions import Rung
from tests.kernel.collection import Collection, collecting
from tests.kernel.workload import run_python
from tests.needs import require_bpf, skip_unavoidable

WITHOUT_BTF = """
import subprocess
from tests.kernel.collection import collecting, refused
subprocess.run(["mount", "-t", "tmpfs", "none", "/sys/kernel/btf"], check=True)
print(refused("--rung", "bpf_btf")["reason"])
with collecting("--rung", "bpf_tracepoint") as collection:
    process = subprocess.Popen(["/bin/true", "without"])
    process.wait(10)
    (event,) = collection.take("process", [process.pid])
    print(event["command_line"])
"""

CODE_32_BIT = bytes.fromhex("31c0 40 31db cd80")  # exit(0) through int 0x80


@pytest.fixture(scope="module")
def tracepoints() -> Iterator[Collection]:
    """A collector of its own, on this rung."""
    require_bpf()
    with collecting("--rung", Rung.BPF_TRACEPOINT) as collection:
        yield collection


def test_it_needs_no_btf() -> None:
    """If it failed, a kernel without type information would fall to polling."""
    require_bpf()
    if not Path("/sys/kernel/btf").is_dir():
        skip_unavoidable("this kernel has no /sys/kernel/btf to hide")
    command = ["unshare", "--mount", sys.executable, "-c", WITHOUT_BTF]
    ended = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert ended.stdout.splitlines() == ["BTF_MISSING", repr(b"/bin/true\0without")]


def test_a_parent_that_is_gone_is_not_named(tracepoints: Collection) -> None:
    """If it failed, a daemon's event would name a dead process, or a stranger with its pid."""
    tracepoints.skip()
    run_python(
        "import time\n"
        "if os.fork() == 0:\n"
        "    middle = os.getpid()\n"
        "    if os.fork() == 0:\n"
        "        while os.getppid() == middle:\n"
        "            time.sleep(0.01)\n"
        "        os.execv('/bin/true', ['true', 'orphan'])\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "time.sleep(1)\n"
    )
    orphan = [event for event in _all(tracepoints) if event["command_line"] == b"true\0orphan"]
    assert len(orphan) == 1
    assert not {"parent_pid", "parent_image", "parent_command_line"} & orphan[0].keys()


def test_a_process_outlives_its_first_thread(tracepoints: Collection, tmp_path: Path) -> None:
    """If it failed, a program could hide its image by ending its first thread."""
    tracepoints.skip()
    program = (
        "import time\n"
        "def late():\n"
        "    time.sleep(0.5)\n"
        "    os.close(os.open(path('late'), os.O_CREAT | os.O_WRONLY))\n"
        "    os._exit(0)\n"
        "threading.Thread(target=late).start()\n"
        "library.syscall(60, 0)\n"
    )
    pid = run_python(program, tmp_path)
    events = tracepoints.take("file", [pid])
    late = [event for event in events if bytes(event["path"]).endswith(b"/late")]
    assert [event["image"] for event in late] == [os.fsencode(sys.executable)]


def test_arguments_of_a_32_bit_program(tracepoints: Collection, tmp_path: Path) -> None:
    """If it failed, the stack of a 32-bit program would be read as that of a 64-bit one."""
    program = tmp_path / "old"
    program.write_bytes(_elf32(CODE_32_BIT))
    program.chmod(0o700)
    tracepoints.skip()
    try:
        process = subprocess.Popen([program, "one", "", "two"])
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        skip_unavoidable("this kernel runs no 32-bit programs")
    assert process.wait(10) == 0
    (event,) = tracepoints.take("process", [process.pid])
    assert event["command_line"] == b"\0".join([os.fsencode(program), b"one", b"", b"two"])
    assert event["argument_count"] == 4


@pytest.mark.parametrize("environment", [{}, {"A": "1"}], ids=["empty", "one"])
def test_the_end_of_the_arguments(tracepoints: Collection, environment: dict[str, str]) -> None:
    """If it failed, the environment, which may hold secrets, would be taken for arguments."""
    tracepoints.skip()
    process = subprocess.Popen(["/bin/true", "last"], env=environment)
    process.wait(10)
    (event,) = tracepoints.take("process", [process.pid])
    assert event["command_line"] == b"/bin/true\0last"


def test_arguments_are_those_that_the_program_gets(tracepoints: Collection) -> None:
    """If it failed, a thread could show us other arguments than the program is started with."""
    tracepoints.skip()
    pid = run_python(
        "text = ctypes.create_string_buffer(b'AAAA')\n"
        "arguments = (ctypes.c_char_p * 4)(b'sh', b'-c', b'echo $0 >&2; exit 0', None)\n"
        "pointers = ctypes.cast(arguments, ctypes.POINTER(ctypes.c_void_p))\n"
        "vector = (ctypes.c_void_p * 5)(pointers[0], pointers[1], pointers[2],\n"
        "                               ctypes.addressof(text), None)\n"
        "def change():\n"
        "    while True:\n"
        "        ctypes.memmove(text, b'BBBB', 4)\n"
        "        ctypes.memmove(text, b'AAAA', 4)\n"
        "shown, written = os.pipe()\n"
        "os.dup2(written, 2)\n"
        "if os.fork() == 0:\n"
        "    threading.Thread(target=change, daemon=True).start()\n"
        "    library.execve(b'/bin/sh', vector, None)\n"
        "os.wait()\n"
        "got = os.read(shown, 100).strip()\n"
        "os.execv('/bin/true', [b'true', got])\n"
    )
    events = tracepoints.take("process", [pid], [pid])
    started = next(event for event in events if bytes(event["command_line"]).startswith(b"sh\0"))
    told = next(event for event in events if bytes(event["command_line"]).startswith(b"true\0"))
    assert (
        bytes(started["command_line"]).split(b"\0")[3]
        == (bytes(told["command_line"]).split(b"\0")[1])
    )


def _all(collection: Collection) -> list[dict[str, int | bytes]]:
    records = collection.rings["process"].read(collection.rings["process"].consumer_position, 9999)
    return collection.take("process", [int(pid) for pid in records["pid"]])


def _elf32(code: bytes) -> bytes:
    base, headers = 0x8048000, 52 + 32
    size = headers + len(code)
    identity = b"\x7fELF\1\1\1" + bytes(9)
    header = identity + struct.pack(
        "<HHIIIIIHHHHHH", 2, 3, 1, base + headers, 52, 0, 0, 52, 32, 1, 0, 0, 0
    )
    segment = struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 0x1000)
    return header + segment + code
