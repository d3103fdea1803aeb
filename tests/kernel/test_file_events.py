"""Template Type file: what was opened for writing, created, removed, renamed, had its mode changed.

Counts are of one process in one folder, so that nothing else on the machine can change them.
"""

import errno
import os
import platform
from pathlib import Path

import pytest

from content.definitions import Rung, TemplateType
from content.loss_causes import LossCause
from probes.counters import CounterSlot
from tests.kernel.collection import Collection, Event, is_truncated
from tests.kernel.workload import REFUSING, refused_on_x86, run_python
from tests.needs import skip_unavoidable

OPENAT2 = 437
FCHMODAT2 = 452
CREAT_OF_X86 = 85
OPENAT_OF_X86 = 257
FCHMODAT2_KERNEL = (6, 6)
PATH_BYTES = 512


def definition(collection: Collection) -> TemplateType:
    """The Template Type of the events."""
    return collection.rings["file"].template_type


def do(collection: Collection, folder: Path, program: str) -> list[Event]:
    """Events of a program in its folder, or without a path."""
    pid = run_python(program, folder, cwd=folder)
    prefix = os.fsencode(folder)
    events = collection.take("file", [pid])
    return [event for event in events if bytes(event.get("path", prefix)).startswith(prefix)]


def counts(collection: Collection, events: list[Event]) -> dict[str, int]:
    """Operation → how many."""
    names = {number: name for name, number in definition(collection).fields[0].values.items()}
    found: dict[str, int] = {}
    for event in events:
        name = names[int(event["operation"])]
        found[name] = found.get(name, 0) + 1
    return found


def knows_creation(collection: Collection) -> bool:
    """Whether the rung can see that an open without O_EXCL has created its file."""
    return collection.rung is Rung.BPF_BTF


def test_exclusive_open_creates_on_every_rung(collection: Collection, tmp_path: Path) -> None:
    """If it failed, even a creation that the call itself proves would pass for a write."""
    program = "os.open(path('x'), os.O_CREAT | os.O_EXCL | os.O_WRONLY)\n"
    assert counts(collection, do(collection, tmp_path, program)) == {"create": 1}


def test_every_operation_is_counted_exactly(collection: Collection, tmp_path: Path) -> None:
    """If it failed, file events would be missed, doubled or take another's name."""
    events = do(
        collection,
        tmp_path,
        "for index in range(9):\n"
        "    os.close(os.open(path(f'new-{index}'), os.O_CREAT | os.O_WRONLY, 0o640))\n"
        "for index in range(17):\n"
        "    os.close(os.open(path(f'new-{index % 9}'), os.O_RDWR))\n"
        "for index in range(5):\n"
        "    os.close(os.open(path(f'new-{index}'), os.O_RDONLY))\n"
        "for index in range(4):\n"
        "    os.rename(path(f'new-{index}'), path(f'moved-{index}'))\n"
        "for index in range(3):\n"
        "    os.chmod(path(f'moved-{index}'), 0o4755)\n"
        "for index in range(6):\n"
        "    os.unlink(path(f'moved-{index}' if index < 4 else f'new-{index}'))\n",
    )
    opens = {"create": 9, "open_write": 17} if knows_creation(collection) else {"open_write": 26}
    assert counts(collection, events) == opens | {
        "rename": 4,
        "chmod": 3,
        "unlink": 6,
    }


def test_every_field_is_supplied(collection: Collection, tmp_path: Path) -> None:
    """If it failed, the sensor would promise a field that it never fills in."""
    program = (
        "os.close(os.open(path('a'), os.O_CREAT | os.O_RDWR))\nos.rename(path('a'), path('b'))\n"
    )
    created, renamed = do(collection, tmp_path, program)
    header = {"time_ns", "rung", "truncated", "processor"}
    assert collection.promised("file") == (created.keys() | renamed.keys()) - header


def test_create_tells_flags_and_mode(collection: Collection, tmp_path: Path) -> None:
    """If it failed, content could not tell a set-user-id file from others."""
    (event,) = do(
        collection, tmp_path, "os.open(path('x'), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o4711)\n"
    )
    assert event["path"] == os.fsencode(tmp_path / "x")
    assert event["mode"] == 0o4711
    assert event["flags"] == os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
    assert int(event["result"]) >= 0
    assert "target_path" not in event


def test_creating_flag_on_an_existing_file(collection: Collection, tmp_path: Path) -> None:
    """If it failed, O_CREAT would be taken for creation."""
    (tmp_path / "there").touch()
    events = do(collection, tmp_path, "os.open(path('there'), os.O_CREAT | os.O_WRONLY)\n")
    assert counts(collection, events) == {"open_write": 1}


def test_truncation_alone_is_a_write(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a file could be emptied unseen."""
    (tmp_path / "there").write_text("text")
    (event,) = do(collection, tmp_path, "os.open(path('there'), os.O_RDONLY | os.O_TRUNC)\n")
    assert event["flags"] == os.O_TRUNC | os.O_CLOEXEC
    assert "mode" not in event


def test_path_only_open_is_none(collection: Collection, tmp_path: Path) -> None:
    """If it failed, opens that can't write would be reported as if they could."""
    (tmp_path / "there").touch()
    program = "os.close(os.open(path('there'), os.O_PATH | os.O_RDWR))\n"
    assert do(collection, tmp_path, program) == []


def test_relative_paths_stay_relative(collection: Collection, tmp_path: Path) -> None:
    """If it failed, the path would not be what the program gave."""
    pid = run_python(
        "os.open('plain', os.O_CREAT | os.O_WRONLY)\nos.rename('plain', './other')\n",
        cwd=tmp_path,
    )
    created, renamed = collection.take("file", [pid])
    assert created["path"] == b"plain"
    assert (renamed["path"], renamed["target_path"]) == (b"plain", b"./other")


def test_failures_are_reported_with_their_error(collection: Collection, tmp_path: Path) -> None:
    """If it failed, an attempt that was refused would be invisible or look like a success."""
    (tmp_path / "folder").mkdir()
    events = do(
        collection,
        tmp_path,
        "def attempt(function, *arguments):\n"
        "    try:\n        function(*arguments)\n    except OSError:\n        pass\n"
        "attempt(os.unlink, path('none'))\n"
        "attempt(os.rename, path('none'), path('other'))\n"
        "attempt(os.chmod, path('none'), 0o600)\n"
        "attempt(os.open, path('folder'), os.O_WRONLY)\n"
        "attempt(os.open, path('none/below'), os.O_CREAT | os.O_WRONLY)\n",
    )
    missing = -errno.ENOENT
    assert [event["result"] for event in events] == [
        missing,
        missing,
        missing,
        -errno.EISDIR,
        missing,
    ]
    assert counts(collection, events) == {"unlink": 1, "rename": 1, "chmod": 1, "open_write": 2}


def test_folders_are_not_files(collection: Collection, tmp_path: Path) -> None:
    """If it failed, removing a folder would be taken for removing a file."""
    program = (
        "os.mkdir(path('a'))\nos.rmdir(path('a'))\nos.mkdir(path('b'))\n"
        "root = os.open(folder, os.O_RDONLY)\nos.rmdir('b', dir_fd=root)\n"
    )
    assert do(collection, tmp_path, program) == []


def test_calls_relative_to_a_folder(collection: Collection, tmp_path: Path) -> None:
    """If it failed, the …at forms of the calls would be missed."""
    pid = run_python(
        "root = os.open(folder, os.O_RDONLY)\n"
        "os.open('one', os.O_CREAT | os.O_WRONLY, dir_fd=root)\n"
        "os.rename('one', 'two', src_dir_fd=root, dst_dir_fd=root)\n"
        "os.chmod('two', 0o600, dir_fd=root)\n"
        "os.unlink('two', dir_fd=root)\n",
        tmp_path,
    )
    events = collection.take("file", [pid])
    assert [event["path"] for event in events] == [b"one", b"one", b"two", b"two"]
    first = "create" if knows_creation(collection) else "open_write"
    assert counts(collection, events) == {first: 1, "rename": 1, "chmod": 1, "unlink": 1}


def test_mode_by_descriptor_has_no_path(collection: Collection, tmp_path: Path) -> None:
    """If it failed, fchmod would be missed, or its path be made up."""
    (tmp_path / "there").touch()
    program = "file = os.open(path('there'), os.O_RDONLY)\nos.fchmod(file, 0o6755)\n"
    (event,) = do(collection, tmp_path, program)
    assert counts(collection, [event]) == {"chmod": 1}
    assert event["mode"] == 0o6755
    assert "path" not in event


def test_openat2(collection: Collection, tmp_path: Path) -> None:
    """If it failed, the newest form of open would be a way round."""
    (tmp_path / "there").touch()
    events = do(
        collection,
        tmp_path,
        "def open2(name, flags, mode):\n"
        "    how = (ctypes.c_uint64 * 3)(flags, mode, 0)\n"
        f"    assert call({OPENAT2}, -100, os.fsencode(path(name)), how, 24) >= 0\n"
        "open2('there', os.O_RDONLY, 0)\n"
        "open2('there', os.O_WRONLY, 0)\n"
        "open2('new', os.O_CREAT | os.O_RDWR, 0o700)\n",
    )
    opens = {"create": 1, "open_write": 1} if knows_creation(collection) else {"open_write": 2}
    assert counts(collection, events) == opens
    assert events[1]["mode"] == 0o700


def test_older_call(collection: Collection, tmp_path: Path) -> None:
    """If it failed, creat would be a way round."""
    if platform.machine() != "x86_64":
        skip_unavoidable("no creat on this architecture")
    (event,) = do(
        collection,
        tmp_path,
        f"assert call({CREAT_OF_X86}, os.fsencode(path('old')), 0o600) >= 0\n",
    )
    assert event["flags"] == os.O_CREAT | os.O_WRONLY | os.O_TRUNC
    first = "create" if knows_creation(collection) else "open_write"
    assert counts(collection, [event]) == {first: 1}


def test_newer_call(collection: Collection, tmp_path: Path) -> None:
    """If it failed, fchmodat2 would be a way round."""
    kernel = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if kernel < FCHMODAT2_KERNEL:
        skip_unavoidable(f"kernel {os.uname().release} has no fchmodat2")
    (tmp_path / "new").touch()
    (event,) = do(
        collection,
        tmp_path,
        f"assert call({FCHMODAT2}, -100, os.fsencode(path('new')), 0o640, 0x100) == 0\n",
    )
    assert (event["mode"], event["flags"]) == (0o640, 0x100)
    assert counts(collection, [event]) == {"chmod": 1}


@pytest.mark.parametrize("length", [PATH_BYTES - 1, PATH_BYTES, PATH_BYTES + 1, 4000])
def test_long_paths(collection: Collection, tmp_path: Path, length: int) -> None:
    """If it failed, a long path would be cut without a word, or a limit be off by one."""
    folder = os.fsencode(tmp_path)
    name = folder + b"/" * (length - len(folder) - 1) + b"n"
    (event,) = do(collection, tmp_path, f"os.open({name!r}, os.O_CREAT | os.O_WRONLY)\n")
    assert event["path"] == name[:PATH_BYTES]
    assert is_truncated(definition(collection), event, "path") is (length > PATH_BYTES)


def test_hostile_bytes_in_paths(collection: Collection, tmp_path: Path) -> None:
    """If it failed, odd bytes would end or change a path."""
    name = os.fsencode(tmp_path) + b"/\n\x1b[2J\xff\xc3\x07 "
    (event,) = do(collection, tmp_path, f"os.open({name!r}, os.O_CREAT | os.O_WRONLY)\n")
    assert event["path"] == name


def test_unreadable_path_is_counted(collection: Collection, tmp_path: Path) -> None:
    """If it failed, an event would lack its path and nobody would know why."""
    fault = CounterSlot(LossCause.READ_FAULT, definition(collection).number)
    before = collection.lost().get(fault, 0)
    pid = run_python("assert library.unlink(ctypes.c_void_p(8)) == -1\n", tmp_path)
    (event,) = collection.take("file", [pid])
    assert event["result"] == -errno.EFAULT
    assert "path" not in event
    assert collection.lost().get(fault, 0) > before


@refused_on_x86
def test_what_a_filter_refuses_never_looks_opened(
    collection: Collection, tmp_path: Path, action: int, most: int
) -> None:
    """If it failed, a call that a seccomp filter has refused would pass for an open file."""
    program = REFUSING + (
        f"refuse({OPENAT_OF_X86}, {action})\n"
        f"call({OPENAT_OF_X86}, -100, path('refused').encode(), os.O_CREAT | os.O_WRONLY, 0o600)\n"
    )
    events = do(collection, tmp_path, program)
    assert len(events) <= most
    assert all(event["result"] == -errno.EACCES for event in events)
    assert counts(collection, events).keys() <= {"open_write"}
