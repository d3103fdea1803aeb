"""What an attacker chooses freely: arguments that change under way, long paths, every byte."""

import os
from pathlib import Path

import pytest

from tests.kernel.collection import Collection, Event, is_truncated
from tests.kernel.test_process_events import run_one
from tests.kernel.workload import run_python

EVERY_BYTE = bytes(range(1, 256))
IN_NAMES = EVERY_BYTE.replace(b"/", b"")
LONGEST_PATH = 4095
ROUNDS = 40

# One thread rewrites the argument that others execute a program with.
REWRITTEN = f"""
argument = ctypes.create_string_buffer(b'harmless', 9)
def rewrite():
    while True:
        argument.value = b'harmless'
        argument.value = b'evil'
def execute():
    threading.Thread(target=rewrite, daemon=True).start()
    vector = (ctypes.c_void_p * 3)(ctypes.addressof(name), ctypes.addressof(argument), None)
    library.execve(b'/bin/echo', vector, None)
    os._exit(1)
name = ctypes.create_string_buffer(b'echo')
output = os.open(path('output'), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
for _ in range({ROUNDS}):
    if os.fork() == 0:
        os.dup2(output, 1)
        execute()
    assert os.wait()[1] == 0
"""


def shown(event: Event) -> bytes:
    """The argument that a program with this event sees.

    A rewrite in the middle of the kernel's copy can leave a NUL within the argument's place, or
    take the one at its end: the program then reads on into what the kernel put behind, its path.
    """
    (argument, *_) = bytes(event["command_line"]).removeprefix(b"echo\0").split(b"\0")
    return argument


def test_arguments_rewritten_during_execve(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a program could show the sensor other arguments than it runs with."""
    pid = run_python(REWRITTEN, tmp_path)
    events = collection.take("process", parents=[pid])
    said = (tmp_path / "output").read_bytes().splitlines()
    assert len(events) == len(said) == ROUNDS
    for event, one in zip(events, said, strict=True):
        assert shown(event) in (one, one.removesuffix(b"/bin/echo")[:-1])


def test_every_byte_in_a_program(collection: Collection, tmp_path: Path) -> None:
    """If it failed, odd bytes would end or change image, arguments or name."""
    for half in (IN_NAMES[:127], IN_NAMES[127:]):
        image = os.fsencode(tmp_path) + b"/" + half
        Path(os.fsdecode(image)).symlink_to("/bin/true")
        _, event = run_one(collection, [EVERY_BYTE, half], image)
        assert event["image"] == image
        assert event["command_line"] == EVERY_BYTE + b"\0" + half
        assert event["name"] == half[:15]


def test_every_byte_in_a_file(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a file could get a name that the sensor doesn't see."""
    halves = (IN_NAMES[:127], IN_NAMES[127:])
    paths = [os.fsencode(tmp_path) + b"/" + half for half in halves]
    pid = run_python(
        f"for name in {halves!r}:\n"
        "    name = os.fsencode(folder) + b'/' + name\n"
        "    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))\n"
        "    os.rename(name, name + b'2')\n"
        "    os.unlink(name + b'2')\n",
        tmp_path,
    )
    events = collection.take("file", [pid])
    seen = [(event["path"], event.get("target_path")) for event in events]
    expected = [
        pair for path in paths for pair in ((path, None), (path, path + b"2"), (path + b"2", None))
    ]
    assert seen == expected


@pytest.mark.parametrize("length", [LONGEST_PATH - 1, LONGEST_PATH])
def test_longest_path_of_a_program(collection: Collection, tmp_path: Path, length: int) -> None:
    """If it failed, a program could hide behind the longest path that the kernel takes."""
    folder = os.fsencode(tmp_path)
    image = folder + b"/" * (length - len(folder) - 4) + b"name"
    Path(os.fsdecode(image)).symlink_to("/bin/true")
    _, event = run_one(collection, [b"true"], image)
    definition = collection.rings["process"].template_type
    assert event["image"] == image[:256]
    assert is_truncated(definition, event, "image")


@pytest.mark.parametrize("length", [511, 512, 513, LONGEST_PATH])
def test_longest_path_of_a_file(collection: Collection, tmp_path: Path, length: int) -> None:
    """If it failed, a file could hide behind the longest path that the kernel takes."""
    pid = run_python(
        f"name = folder + '/' * ({length} - len(folder) - 4) + 'name'\n"
        "os.close(os.open(name, os.O_CREAT | os.O_WRONLY))\n",
        tmp_path,
    )
    folder = os.fsencode(tmp_path)
    whole = folder + b"/" * (length - len(folder) - 4) + b"name"
    (event,) = collection.take("file", [pid])
    definition = collection.rings["file"].template_type
    assert event["path"] == whole[:512]
    assert is_truncated(definition, event, "path") is (length > 512)
