"""The working folder of a program: an exact path, wherever it lies and whatever it is called."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from content.loss_causes import LossCause
from probes.counters import CounterSlot
from tests.kernel.collection import Collection, Event, is_truncated
from tests.kernel.rungs import ONLY_WITH_BTF
from tests.kernel.workload import run_python

pytestmark = ONLY_WITH_BTF

CAPACITY = 512
LONGEST_NAME = 255
SHALLOW, TOO_DEEP = 60, 66
"""Folders on the way, a mount or two beside them; the walk ends at 64."""

READ_FAULT = CounterSlot(LossCause.READ_FAULT, 1)

MOUNTING = """
NEW_MOUNTS, BIND, RECURSIVE, PRIVATE, DETACH = 0x20000, 4096, 16384, 1 << 18, 2
def must(result):
    assert result == 0, os.strerror(ctypes.get_errno())
def mount(source, target, kind=None, flags=0):
    os.makedirs(target, exist_ok=True)
    must(library.mount(os.fsencode(source), os.fsencode(target), kind, ctypes.c_ulong(flags), None))
def system_below(root):
    for name in ('usr', 'bin', 'lib', 'lib64'):
        if os.path.islink('/' + name):
            os.symlink(os.readlink('/' + name), os.path.join(root, name))
        elif os.path.isdir('/' + name):
            mount('/' + name, os.path.join(root, name), None, BIND | RECURSIVE)
def run():
    os.posix_spawn('/bin/true', ['true'], {})
    assert os.wait()[1] == 0
must(library.unshare(NEW_MOUNTS))
must(library.mount(b'none', b'/', None, ctypes.c_ulong(RECURSIVE | PRIVATE), None))
"""
"""What a program needs that changes its own mounts, which nobody else sees."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[bytes]:
    """A folder, at the end of which the test has left whatever it went into."""
    yield os.fsencode(tmp_path)
    os.chdir("/")


def run_in(collection: Collection, folder: bytes | str) -> Event:
    """Execute a program in a folder; its event."""
    process = subprocess.Popen(["/bin/true"], cwd=folder)
    assert process.wait(10) == 0
    (event,) = collection.take("process", [process.pid])
    return event


def mounted(collection: Collection, program: str, folder: bytes) -> bytes:
    """The working folder of what `run()` executes in a program with mounts of its own."""
    pid = run_python(MOUNTING + program, os.fsdecode(folder))
    (event,) = collection.take("process", parents=[pid])
    return bytes(event["current_directory"])


def test_a_folder(collection: Collection, folder: bytes) -> None:
    """If it failed, relative paths in a command line could not be told apart."""
    assert run_in(collection, folder)["current_directory"] == folder


def test_the_root(collection: Collection) -> None:
    """If it failed, what runs in the root, as most services do, would have no folder."""
    assert run_in(collection, "/")["current_directory"] == b"/"


def test_the_folder_is_that_of_the_exec(collection: Collection, folder: bytes) -> None:
    """If it failed, a process that goes elsewhere first would be seen where it came from."""
    pid = run_python("os.chdir(folder)\nos.execv('/bin/true', ['true'])\n", os.fsdecode(folder))
    event = collection.take("process", [pid])[-1]
    assert event["current_directory"] == folder


@pytest.mark.parametrize("length", [1, 7, 8, 31, 32, 33, 38, 39, 40, 41, LONGEST_NAME])
def test_names_of_every_length(collection: Collection, folder: bytes, length: int) -> None:
    """If it failed, names that the kernel keeps elsewhere would be cut or garbage."""
    path = folder + b"/" + b"n" * length + b"/in"
    Path(os.fsdecode(path)).mkdir(parents=True)
    assert run_in(collection, path)["current_directory"] == path


def test_names_of_every_byte(collection: Collection, folder: bytes) -> None:
    """If it failed, odd bytes would end or change a path."""
    every = bytes(range(1, 256)).replace(b"/", b"")
    path = folder + b"/" + every[:127] + b"/" + every[127:] + b"/ \n"
    Path(os.fsdecode(path)).mkdir(parents=True)
    assert run_in(collection, path)["current_directory"] == path


@pytest.mark.parametrize("length", [CAPACITY - 1, CAPACITY, CAPACITY + 1, CAPACITY + 300, 4000])
def test_beginning_of_a_long_path_is_kept(
    collection: Collection, folder: bytes, length: int
) -> None:
    """If it failed, a path would be cut without a word, or a limit be off by one."""
    path = folder
    while length - len(path) > 2 * LONGEST_NAME:
        path += b"/" + b"n" * 200
    half = (length - len(path)) // 2
    path += b"/" + b"n" * (half - 1)
    path += b"/" + b"n" * (length - len(path) - 1)
    Path(os.fsdecode(path)).mkdir(parents=True)
    event = run_in(collection, path)
    definition = collection.rings["process"].template_type
    assert event["current_directory"] == path[:CAPACITY]
    assert is_truncated(definition, event, "current_directory") is (length > CAPACITY)


def test_deep_folders(collection: Collection, folder: bytes) -> None:
    """If it failed, a path of many short names would be garbage."""
    path = folder + b"/d" * (SHALLOW - folder.count(b"/"))
    Path(os.fsdecode(path)).mkdir(parents=True)
    assert run_in(collection, path)["current_directory"] == path


def test_too_deep_folders_are_counted(collection: Collection, folder: bytes) -> None:
    """If it failed, a process could hide its folder by going deep, and nobody would know."""
    path = folder + b"/d" * TOO_DEEP
    Path(os.fsdecode(path)).mkdir(parents=True)
    before = collection.lost().get(READ_FAULT, 0)
    assert "current_directory" not in run_in(collection, path)
    assert collection.lost()[READ_FAULT] == before + 1


def test_removed_folder_keeps_its_path(collection: Collection, folder: bytes) -> None:
    """If it failed, a program could hide where it was started by removing the folder first."""
    pid = run_python(
        "os.mkdir(path('gone'))\nos.chdir(path('gone'))\nos.rmdir(path('gone'))\n"
        "os.execv('/bin/true', ['true'])\n",
        os.fsdecode(folder),
    )
    event = collection.take("process", [pid])[-1]
    assert event["current_directory"] == folder + b"/gone"


def test_mounts_are_crossed(collection: Collection, folder: bytes) -> None:
    """If it failed, a path would end where another file system begins."""
    program = (
        "mount('none', path('outer/mount'), b'tmpfs')\n"
        "mount('none', path('outer/mount/inner'), b'tmpfs')\n"
        "os.mkdir(path('outer/mount/inner/last'))\n"
        "os.chdir(path('outer/mount/inner/last'))\nrun()\n"
    )
    assert mounted(collection, program, folder) == folder + b"/outer/mount/inner/last"


def test_a_chroot_does_not_hide_the_place(collection: Collection, folder: bytes) -> None:
    """If it failed, a process could choose its own path by changing its root."""
    program = (
        "os.mkdir(path('root'))\nsystem_below(path('root'))\nos.mkdir(path('root/work'))\n"
        "os.chroot(path('root'))\nos.chdir('/work')\nrun()\n"
    )
    assert mounted(collection, program, folder) == folder + b"/root/work"


def test_path_in_a_container_is_the_containers(collection: Collection, folder: bytes) -> None:
    """If it failed, content would have to know where each container is unpacked."""
    program = (
        "mount('none', path('root'), b'tmpfs')\nsystem_below(path('root'))\n"
        "os.makedirs(path('root/work/here'))\nos.mkdir(path('root/old'))\n"
        "must(library.syscall(ctypes.c_long(ROOT), path('root').encode(),"
        " path('root/old').encode()))\n"
        "os.chdir('/')\nmust(library.umount2(b'/old', DETACH))\n"
        "os.chdir('/work/here')\nrun()\n"
    )
    numbers = {"x86_64": 155, "aarch64": 41}
    program = f"ROOT = {numbers[os.uname().machine]}\n" + program
    assert mounted(collection, program, folder) == b"/work/here"


def test_a_detached_mount_begins_the_path(collection: Collection, folder: bytes) -> None:
    """If it failed, the walk would not end where a file system is mounted nowhere any more."""
    program = (
        "mount('none', path('mount'), b'tmpfs')\nos.makedirs(path('mount/some/where'))\n"
        "os.chdir(path('mount/some/where'))\n"
        "must(library.umount2(path('mount').encode(), DETACH))\nrun()\n"
    )
    assert mounted(collection, program, folder) == b"/some/where"


def test_it_is_what_proc_shows(collection: Collection, folder: bytes) -> None:
    """If it failed, the same content would find different things on different rungs."""
    with subprocess.Popen(["/bin/cat"], cwd=folder, stdin=subprocess.PIPE) as process:
        shown = Path(f"/proc/{process.pid}/cwd").readlink()
    (event,) = collection.take("process", [process.pid])
    assert Path(os.fsdecode(bytes(event["current_directory"]))) == shown
