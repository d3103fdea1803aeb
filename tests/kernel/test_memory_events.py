"""Template Type memory: executable memory, files in memory, and programs without a name."""

import errno
import os
import sys
from pathlib import Path

import pytest

from tests.kernel.collection import Collection, Event
from tests.kernel.rungs import ONLY_WITH_BTF
from tests.kernel.workload import REFUSING, refused_on_x86, run_python

pytestmark = ONLY_WITH_BTF

PAGE = 4096
PRIVATE_ANONYMOUS, SHARED = 0x22, 0x01

CALLS = """
MMAP, PROTECT, PKEY_PROTECT, MEMFD = {
    "x86_64": (9, 10, 329, 319), "aarch64": (222, 226, 288, 279),
}[os.uname().machine]
library.mmap.restype = library.syscall.restype = ctypes.c_long
def long(*values):
    return [ctypes.c_long(value) for value in values]
def mmap(protection, flags, descriptor=-1, length=4096):
    return call(MMAP, *long(0, length, protection, flags, descriptor, 0))
def memory_file(name=b'secret', flags=0):
    return call(MEMFD, ctypes.c_char_p(name), *long(flags))
def filled(descriptor, path='/bin/true'):
    os.write(descriptor, open(path, 'rb').read())
    return descriptor
"""


def do(collection: Collection, folder: Path, program: str) -> list[Event]:
    """Events of a program, but not of its start."""
    return collection.take("memory", [run_python(CALLS + program, folder, cwd=folder)])


def named(collection: Collection, event: Event, field: str) -> str:
    """Value of an enum by name."""
    fields = collection.rings["memory"].template_type.fields
    (found,) = (one for one in fields if one.name == field)
    return {number: name for name, number in found.values.items()}[int(event[field])]


def test_writable_and_executable(collection: Collection, tmp_path: Path) -> None:
    """If it failed, memory for injected code would be invisible."""
    mapped, protected, keyed = do(
        collection,
        tmp_path,
        "where = mmap(7, 0x22, length=8192)\n"
        "plain = mmap(3, 0x22)\n"
        "assert call(PROTECT, *long(plain, 4096, 5)) == 0\n"
        "call(PKEY_PROTECT, *long(plain, 4096, 7, -1))\n",
    )
    assert named(collection, mapped, "operation") == "map"
    assert named(collection, mapped, "backing") == "anonymous"
    assert (mapped["protection"], mapped["length"], mapped["flags"]) == (7, 2 * PAGE, 0x22)
    assert mapped["address"] == mapped["result"]
    assert int(mapped["address"]) % PAGE == 0 != mapped["address"]
    for event, protection in ((protected, 5), (keyed, 7)):
        assert named(collection, event, "operation") == "protect"
        assert (event["protection"], event["length"], event["result"]) == (protection, PAGE, 0)
        assert event["address"] == keyed["address"]
        assert "backing" not in event
        assert "flags" not in event


def test_counts_are_exact(collection: Collection, tmp_path: Path) -> None:
    """If it failed, events would be missed or doubled, or ordinary mappings be reported."""
    events = do(
        collection,
        tmp_path,
        "for _ in range(13):\n    mmap(7, 0x22)\n"
        "for _ in range(100):\n    mmap(3, 0x22), mmap(1, 0x22), mmap(5, 0x22)\n"
        "library_file = os.open('/bin/true', os.O_RDONLY)\n"
        "for _ in range(10):\n    mmap(5, 0x02, library_file)\n"
        "plain = mmap(3, 0x22)\n"
        "for _ in range(11):\n"
        "    call(PROTECT, *long(plain, 4096, 1)), call(PROTECT, *long(plain, 4096, 5))\n"
        "for index in range(6):\n    memory_file(b'file %d' % index)\n",
    )
    names = [named(collection, event, "operation") for event in events]
    assert [names.count(name) for name in ("map", "protect", "memory_file")] == [13, 11, 6]
    assert len(names) == 30


def test_memory_file(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a file in memory would be missed or lose its name."""
    made, refused = do(
        collection, tmp_path, "memory_file(b'se\\xffcret', 1)\nmemory_file(b'x', 0x400)\n"
    )
    assert named(collection, made, "operation") == "memory_file"
    assert made["file_name"] == b"memfd:se\xffcret"
    assert named(collection, made, "backing") == "unlinked_file"
    assert made["flags"] == 1
    assert int(made["result"]) > 2
    assert refused["result"] == -errno.EINVAL
    assert "file_name" not in refused
    assert "address" not in made


def test_library_from_memory(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a library that was never a file in a folder would be loaded unseen."""
    events = do(
        collection,
        tmp_path,
        "descriptor = filled(memory_file())\n"
        "mmap(5, 0x02, descriptor)\n"
        "mmap(5, 0x01, os.open('/bin/true', os.O_RDONLY))\n"
        "gone = os.open('gone', os.O_CREAT | os.O_RDWR)\nfilled(gone)\nos.unlink('gone')\n"
        "mmap(5, 0x02, gone)\n",
    )
    _, private, shared, unlinked = events
    assert [named(collection, event, "backing") for event in events[1:]] == [
        "unlinked_file",
        "file",
        "unlinked_file",
    ]
    assert (private["file_name"], private["protection"]) == (b"memfd:secret", 5)
    assert shared["file_name"] == os.fsencode(Path("/bin/true").resolve().name)
    assert unlinked["file_name"] == b"gone"


def test_program_from_memory(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a program that is no file in any folder would run unseen."""
    program = (
        "descriptor = filled(memory_file())\n"
        "child = os.fork()\n"
        "if child == 0:\n    os.execve(descriptor, ['[kworker/0:1]', 'x'], {})\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "os.posix_spawn('/bin/true', ['true'], {}), os.wait()\n"
    )
    pid = run_python(CALLS + program, tmp_path)
    events = collection.take("memory", [pid], parents=[pid])
    made, executed = events
    assert made["pid"] == pid
    assert named(collection, executed, "operation") == "execute"
    assert named(collection, executed, "backing") == "unlinked_file"
    assert executed["file_name"] == b"memfd:secret"
    assert executed["command_line"] == b"[kworker/0:1]\0x"
    assert executed["image"].startswith(b"/dev/fd/")  # type: ignore[union-attr]
    assert executed["parent_pid"] == pid
    assert executed["parent_image"] == os.fsencode(sys.executable)
    assert "result" not in executed


def test_program_that_was_removed(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a program that hides its file before it starts would run unseen."""
    program = (
        "import shutil\nshutil.copy('/bin/true', 'dropped')\n"
        "descriptor = os.open('dropped', os.O_RDONLY)\nos.unlink('dropped')\n"
        "os.execve(descriptor, ['dropped'], {})\n"
    )
    (event,) = do(collection, tmp_path, program)
    assert named(collection, event, "operation") == "execute"
    assert event["file_name"] == b"dropped"
    assert event["command_line"] == b"dropped"


def test_failed_calls(collection: Collection, tmp_path: Path) -> None:
    """If it failed, an attempt that was refused would be invisible or look like a success."""
    mapped, protected, no_file = do(
        collection,
        tmp_path,
        "mmap(7, 0x22, length=0)\n"
        "assert call(PROTECT, *long(4096, 4096, 7)) < 0\n"
        "assert mmap(7, 0x02, 1000) == -9\n",
    )
    assert mapped["result"] == -errno.EINVAL
    assert mapped["address"] == 0
    assert protected["result"] == -errno.ENOMEM
    assert protected["address"] == PAGE
    assert no_file["result"] == -errno.EBADF
    assert "backing" not in no_file


def test_every_field_is_supplied(collection: Collection, tmp_path: Path) -> None:
    """If it failed, the sensor would promise a field that it never fills in."""
    program = "mmap(7, 0x22)\nmemory_file()\n"
    supplied = set().union(*do(collection, tmp_path, program))
    definition = collection.rings["memory"].template_type
    assert {field.name for field in definition.fields} <= supplied


@refused_on_x86
@pytest.mark.parametrize("call", ["MMAP", "PROTECT"])
def test_what_a_filter_refuses_never_looks_done(
    collection: Collection, tmp_path: Path, call: str, action: int, most: int
) -> None:
    """If it failed, a call that a seccomp filter has refused would pass for executable memory."""
    program = REFUSING + (
        "page = mmap(3, 0x22)\n"
        f"refuse({call}, {action})\n"
        f"call({call}, *long(page, 4096, 7, 0x32, -1, 0))\n"
    )
    events = do(collection, tmp_path, program)
    assert len(events) <= most
    assert all(event["result"] == -errno.EACCES for event in events)
