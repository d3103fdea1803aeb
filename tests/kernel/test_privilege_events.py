"""Template Type privilege: every call of the family once, and what an exec changed."""

import errno
import os
import platform
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.collection import Collection, Event
from tests.kernel.rungs import ONLY_WITH_BTF
from tests.kernel.workload import run_python
from tests.needs import skip_unavoidable

pytestmark = ONLY_WITH_BTF

NOBODY = 65534
OWNER = 4321
NET_RAW = 1 << 13
FILE_CAPABILITIES = (0x02000001).to_bytes(4, "little") + NET_RAW.to_bytes(4, "little") + bytes(12)
"""security.capability: revision 2, effective; see linux/capability.h."""

BECOME_NOBODY = f"os.setgroups([])\nos.setresgid(*[{NOBODY}] * 3)\nos.setresuid(*[{NOBODY}] * 3)\n"


@pytest.fixture
def program() -> Iterator[Path]:
    """A copy of /bin/true in a folder for everybody, where set-id bits count."""
    with tempfile.TemporaryDirectory(prefix="bulkhead-") as folder:
        if os.statvfs(folder).f_flag & os.ST_NOSUID:
            skip_unavoidable("the folder for temporary files ignores set-id bits")
        Path(folder).chmod(0o755)
        yield Path(shutil.copy("/bin/true", Path(folder) / "program"))


def do(collection: Collection, text: str) -> list[Event]:
    """Events of a program and of its children."""
    pid = run_python(text, cwd="/")
    return collection.take("privilege", [pid], [pid])


def execs(collection: Collection, text: str) -> list[Event]:
    """Of these the execs."""
    return [one for one in do(collection, text) if name(collection, one) == "exec"]


def name(collection: Collection, event: Event) -> str:
    """Operation by name."""
    values = collection.rings["privilege"].template_type.fields[0].values
    return {number: one for one, number in values.items()}[int(event["operation"])]


def ids(event: Event, which: str) -> list[int | bytes]:
    """Old and new id of one kind: user, effective_user, group, effective_group."""
    return [event[f"old_{which}_id"], event[f"new_{which}_id"]]


def test_every_call_is_counted_exactly(collection: Collection) -> None:
    """If it failed, a way to other rights would be missed, or take another's name."""
    events = do(
        collection,
        "for count in (0, 3, 7):\n    os.setgroups(range(count))\n"
        "for _ in range(2):\n    library.setfsgid(5)\n    library.setfsuid(0)\n"
        "os.setgid(10)\nos.setregid(11, 12)\nos.setresgid(13, 14, 15)\n"
        "os.setresuid(0, 0, 0)\nos.setreuid(0, 0)\n"
        f"os.setuid({OWNER})\n",
    )
    assert [name(collection, event) for event in events] == [
        *["setgroups"] * 3,
        *["setfsgid", "setfsuid"] * 2,
        *["setgid", "setregid", "setresgid", "setresuid", "setreuid", "setuid"],
    ]
    assert [event.get("group_count") for event in events[:4]] == [0, 3, 7, None]
    requested = [5, 0, 5, 0, 10, 12, 14, 0, 0, OWNER]
    assert [event.get("requested_id") for event in events] == [None, None, None, *requested]
    assert ids(events[9], "group") == [11, 13]
    assert ids(events[9], "effective_group") == [12, 14]
    assert ids(events[12], "user") == ids(events[12], "effective_user") == [0, OWNER]
    assert int(events[12]["old_capabilities"]) > 0
    assert events[12]["new_capabilities"] == 0


def test_refused_calls_are_events(collection: Collection) -> None:
    """If it failed, an attempt to become root would only be seen when it succeeds."""
    events = do(
        collection,
        BECOME_NOBODY + "for act in (lambda: os.setuid(0), lambda: os.setresuid(-1, 0, -1),"
        " lambda: os.setgid(0), lambda: os.setgroups([1])):\n"
        "    try:\n        act()\n    except PermissionError:\n        pass\n",
    )[3:]
    assert [name(collection, one) for one in events] == [
        "setuid",
        "setresuid",
        "setgid",
        "setgroups",
    ]
    for event in events:
        assert event["result"] == -errno.EPERM
        assert ids(event, "user") == ids(event, "effective_group") == [NOBODY, NOBODY]
    assert [event.get("requested_id") for event in events] == [0, 0, 0, None]


def test_ids_that_are_left_alone(collection: Collection) -> None:
    """If it failed, `no change` would be taken for the id 4294967295."""
    (event,) = do(collection, "os.setresuid(-1, -1, -1)\n")
    assert "requested_id" not in event
    assert ids(event, "effective_user") == [0, 0]


def test_capset(collection: Collection) -> None:
    """If it failed, capabilities could be given up or taken unseen."""
    (event,) = do(
        collection,
        "header = (ctypes.c_uint32 * 2)(0x20080522, 0)\n"
        f"data = (ctypes.c_uint32 * 6)({NET_RAW}, {NET_RAW}, 0, 0, 0, 0)\n"
        "assert library.capset(header, data) == 0\n",
    )
    assert name(collection, event) == "capset"
    assert int(event["old_capabilities"]) > NET_RAW
    assert event["new_capabilities"] == NET_RAW
    assert event["result"] == 0


def test_exec_with_the_set_user_id_bit(collection: Collection, program: Path) -> None:
    """If it failed, a way back to root would not be seen where it is used."""
    program.chmod(0o4755)
    run = f"os.spawnv(os.P_WAIT, {str(program)!r}, ['program', 'word'])\n"
    events = execs(collection, BECOME_NOBODY + run * 3)
    assert len(events) == 3
    for event in events:
        assert ids(event, "user") == [NOBODY, NOBODY]
        assert ids(event, "effective_user") == [NOBODY, 0]
        assert ids(event, "effective_group") == [NOBODY, NOBODY]
        assert event["old_capabilities"] == 0
        assert int(event["new_capabilities"]) > NET_RAW
        assert event["image"] == os.fsencode(program)
        assert event["command_line"] == b"program\0word"
        assert event["result"] == 0
        assert "requested_id" not in event


def test_exec_with_the_set_group_id_bit(collection: Collection, program: Path) -> None:
    """If it failed, a group's rights could be gained unseen."""
    os.chown(program, 0, OWNER)
    program.chmod(stat.S_ISGID | 0o755)
    (event,) = execs(collection, f"os.spawnv(os.P_WAIT, {str(program)!r}, ['program'])\n")
    assert ids(event, "effective_group") == [0, OWNER]
    assert ids(event, "effective_user") == [0, 0]


def test_exec_with_file_capabilities(collection: Collection, program: Path) -> None:
    """If it failed, the quieter way back to root would not be seen."""
    os.setxattr(program, "security.capability", FILE_CAPABILITIES)
    run = f"os.spawnv(os.P_WAIT, {str(program)!r}, ['program'])\n"
    (event,) = execs(collection, BECOME_NOBODY + run)
    assert (event["old_capabilities"], event["new_capabilities"]) == (0, NET_RAW)
    assert ids(event, "effective_user") == [NOBODY, NOBODY]


def test_exec_that_changes_nothing(collection: Collection, program: Path) -> None:
    """If it failed, every program that is executed would be a change of rights."""
    program.chmod(0o4755)
    run = f"os.spawnv(os.P_WAIT, {str(program)!r}, ['program'])\n"
    other = "os.spawnv(os.P_WAIT, '/bin/true', ['true'])\n"
    assert do(collection, run + other) == []
    assert execs(collection, BECOME_NOBODY + other) == []


def test_exec_by_another_thread_than_the_first(collection: Collection, program: Path) -> None:
    """If it failed, a thread could gain rights unseen, for an exec gives it another id."""
    program.chmod(0o4755)
    (event,) = execs(
        collection,
        BECOME_NOBODY + "import time\nif os.fork() == 0:\n"
        f"    threading.Thread(target=os.execv, args=({str(program)!r}, ['program'])).start()\n"
        "    time.sleep(9)\nos.wait()\n",
    )
    assert ids(event, "effective_user") == [NOBODY, 0]
    assert event["pid"] == event["thread_id"]


def test_exec_of_a_script_is_none(collection: Collection, program: Path) -> None:
    """If it failed, a bit that the kernel does not honour would look like a gain."""
    program.write_text("#!/bin/true\n", encoding="ascii")
    program.chmod(0o4755)
    run = f"os.spawnv(os.P_WAIT, {str(program)!r}, ['program'])\n"
    assert execs(collection, BECOME_NOBODY + run) == []


def test_exec_by_descriptor(collection: Collection, program: Path) -> None:
    """If it failed, execveat would be a way round."""
    program.chmod(0o4755)
    pid = run_python(
        f"file = os.open({str(program)!r}, os.O_RDONLY)\nos.set_inheritable(file, True)\n"
        + BECOME_NOBODY
        + "if os.fork() == 0:\n    os.execve(file, ['program'], {})\nos.wait()\n",
    )
    if not collection.take("process", parents=[pid]):
        skip_unavoidable("this kernel executes nothing by its descriptor alone")
    (event,) = collection.take("privilege", parents=[pid])
    assert ids(event, "effective_user") == [NOBODY, 0]


def test_exec_of_what_another_opened(collection: Collection, program: Path) -> None:
    """If it failed, the rights of whoever opened a file would be taken for the caller's."""
    program.chmod(0o4755)
    (event,) = execs(
        collection,
        f"file = os.open({str(program)!r}, os.O_PATH)\n"
        + BECOME_NOBODY
        + "if os.fork() == 0:\n    os.execve(f'/proc/self/fd/{file}', ['program'], {})\n"
        "os.wait()\n",
    )
    assert ids(event, "effective_user") == [NOBODY, 0]
    assert ids(event, "user") == [NOBODY, NOBODY]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="calls as 32-bit programs do on x86")
def test_exec_by_a_32_bit_call(collection: Collection, program: Path) -> None:
    """If it failed, a 32-bit program could gain root unseen, for its calls are not traced."""
    program.chmod(0o4755)
    below_4_gib = (
        "import mmap\n"
        "memory = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40,"
        " prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "start = ctypes.addressof(ctypes.c_char.from_buffer(memory))\n"
        f"name = {os.fsencode(program)!r} + bytes(1)\n"
        "memory[256:256 + len(name)] = name\n"
        "memory[128:136] = (start + 256).to_bytes(4, 'little') + bytes(4)\n"
        # mov eax, 11 (execve); mov ebx, name; mov ecx, arguments; xor edx, edx; int 0x80
        "code = (b'\\xb8\\x0b\\0\\0\\0\\xbb' + (start + 256).to_bytes(4, 'little') + b'\\xb9'"
        " + (start + 128).to_bytes(4, 'little') + b'\\x31\\xd2\\xcd\\x80\\x0f\\x0b')\n"
        "memory[:len(code)] = code\n"
    )
    call = "if os.fork() == 0:\n    ctypes.CFUNCTYPE(None)(start)()\nos.wait()\n"
    pid = run_python(BECOME_NOBODY + below_4_gib + call)
    if not collection.take("process", parents=[pid]):
        skip_unavoidable("this kernel runs no 32-bit calls")
    (event,) = collection.take("privilege", parents=[pid])
    assert ids(event, "user") == [NOBODY, NOBODY]
    assert ids(event, "effective_user") == [NOBODY, 0]


def test_every_field_is_supplied(collection: Collection) -> None:
    """If it failed, the sensor would promise a field that it never fills in."""
    supplied = set().union(*do(collection, "os.setgroups([])\nos.setgid(0)\n"))
    definition = collection.rings["privilege"].template_type
    assert {field.name for field in definition.fields} <= supplied
