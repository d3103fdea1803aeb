"""Template Type process: every exec, with its arguments, its user and where it comes from."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from content.definitions import RUNG_NUMBERS
from probes.processes import Process, read_process
from tests.kernel.collection import Collection, Event, is_truncated
from tests.kernel.elder import Elder
from tests.kernel.workload import run_python
from tests.needs import require_audit
from tests.patience import patient

EXECS = 23
COMMAND_LINE_BYTES = 4096
IMAGE_BYTES = 256


def own() -> Process:
    """This test process as /proc shows it."""
    process = read_process(os.getpid())
    assert process is not None
    return process


def run_one(
    collection: Collection, arguments: list[bytes], image: bytes = b"/bin/true"
) -> tuple[int, Event]:
    """Execute a program with these arguments; returns its pid and its one event."""
    process = subprocess.Popen(arguments, executable=image)
    assert process.wait(patient(10)) == 0
    (event,) = collection.take("process", [process.pid])
    return process.pid, event


def test_every_exec_is_one_event(collection: Collection) -> None:
    """If it failed, execs would be missed or reported twice."""
    pid = run_python(
        f"for index in range({EXECS}):\n"
        "    os.posix_spawn('/bin/true', ['true', str(index)], {})\n"
        "    os.wait()\n"
    )
    events = collection.take("process", parents=[pid])
    assert [event["command_line"] for event in events] == [
        b"true\0%d" % index for index in range(EXECS)
    ]
    assert len({event["pid"] for event in events}) == EXECS


def test_a_fork_is_no_event(collection: Collection) -> None:
    """If it failed, a process that only forks would look like a program that was executed."""
    pid = run_python(
        "for _ in range(5):\n    if os.fork() == 0:\n        os._exit(0)\n    os.wait()\n"
    )
    assert collection.take("process", parents=[pid]) == []


def test_the_event_says_who_and_whence(collection: Collection) -> None:
    """If it failed, some field of the event would be wrong."""
    parent = own()
    pid, event = run_one(collection, [b"its-name", b"an argument", b""])
    assert event["image"] == b"/bin/true"
    assert event["command_line"] == b"its-name\0an argument\0"
    assert event["argument_count"] == 3
    assert event["name"] == b"true"
    assert (event["pid"], event["thread_id"]) == (pid, pid)
    assert (event["user_id"], event["group_id"]) == (os.getuid(), os.getgid())
    assert event["parent_pid"] == os.getpid()
    assert event["parent_image"] == parent.image
    assert event["parent_command_line"] == parent.command_line[:512]
    assert event["rung"] == RUNG_NUMBERS[collection.rung]
    if "start_time" in collection.promised("process"):
        assert event["parent_user_id"] == parent.user_id
        assert event["parent_start_time"] == parent.start_time
        assert int(event["start_time"]) <= int(event["time_ns"])


def test_start_time_is_what_proc_shows(collection: Collection) -> None:
    """If it failed, a verdict could not be checked against /proc before it is carried out."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
        there = read_process(process.pid)
    assert there is not None
    (event,) = collection.take("process", [process.pid])
    if "start_time" in collection.promised("process"):
        assert event["start_time"] == there.start_time
    else:
        assert "start_time" not in event  # the kernel was not asked; a guess could hit another


def test_every_field_is_supplied(collection: Collection) -> None:
    """If it failed, the sensor would promise a field that it never fills in."""
    require_audit()
    pid = run_python(
        "with open('/proc/self/loginuid', 'w') as file:\n    file.write('1000')\n"
        "os.execv('/bin/true', ['true'])\n"
    )
    event = collection.take("process", [pid])[-1]
    header = {"time_ns", "rung", "truncated", "processor"}
    assert collection.promised("process") == event.keys() - header


def test_user_is_the_real_one(collection: Collection) -> None:
    """If it failed, a program would be taken for another user's."""
    nobody = pwd.getpwnam("nobody")
    process = subprocess.Popen(
        ["/bin/true"], user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[]
    )
    process.wait(patient(10))
    (event,) = collection.take("process", [process.pid])
    assert (event["user_id"], event["group_id"]) == (nobody.pw_uid, nobody.pw_gid)
    if "parent_user_id" in collection.promised("process"):
        assert event["parent_user_id"] == os.getuid()


def test_parent_older_than_the_sensor(collection: Collection, elder: Elder) -> None:
    """If it failed, what long-running services start would have no known parent."""
    there = read_process(elder.pid)
    assert there is not None
    elder.run("/bin/true from-elder")
    (event,) = collection.take("process", parents=[elder.pid])
    assert event["command_line"] == b"/bin/true\0from-elder"
    assert event["parent_image"] == there.image
    assert event["parent_command_line"] == b"\0".join(map(os.fsencode, elder.arguments))
    if "parent_start_time" in collection.promised("process"):
        assert event["parent_start_time"] == there.start_time


def test_forked_process_keeps_its_parents_image(collection: Collection, tmp_path: Path) -> None:
    """If it failed, what a fork without exec does would be nobody's."""
    pid = run_python(
        "if os.fork() == 0:\n"
        "    os.close(os.open(path('of-child'), os.O_CREAT | os.O_WRONLY))\n"
        "    os._exit(0)\n"
        "os.wait()\n",
        tmp_path,
    )
    events = collection.take("file", parents=[pid])
    (event,) = [event for event in events if bytes(event["path"]).endswith(b"/of-child")]
    assert event["image"] == os.fsencode(sys.executable)
    assert event["parent_image"] == event["image"]
    assert event["parent_command_line"] == event["command_line"]


@pytest.mark.parametrize("surplus", [-1, 0, 1, 128 * 1024 - COMMAND_LINE_BYTES - 10])
def test_arguments_up_to_the_limit_and_beyond(collection: Collection, surplus: int) -> None:
    """If it failed, arguments would be cut without a word, or a limit be off by one."""
    argument = b"a" * (COMMAND_LINE_BYTES + surplus - len(b"true\0"))
    _, event = run_one(collection, [b"true", argument])
    whole = b"true\0" + argument
    definition = collection.rings["process"].template_type
    assert event["command_line"] == whole[:COMMAND_LINE_BYTES]
    assert is_truncated(definition, event, "command_line") is (surplus > 0)
    assert event["argument_count"] == 2


def test_no_arguments_at_all(collection: Collection) -> None:
    """If it failed, an exec with an empty argument vector would break or hide the event."""
    pid = run_python(
        "if os.fork() == 0:\n"
        "    nothing = (ctypes.c_char_p * 1)(None)\n"
        "    library.execve(b'/bin/true', nothing, nothing)\n"
        "    os._exit(1)\n"
        "assert os.wait()[1] == 0\n"
    )
    (event,) = collection.take("process", parents=[pid])
    assert event["command_line"] == b""
    # Kernels since 5.18, and older ones with the fix, put an empty argument in.
    assert event["argument_count"] in (0, 1)


def test_hostile_bytes_arrive_as_they_are(collection: Collection, tmp_path: Path) -> None:
    """If it failed, odd bytes would end or change a value."""
    hostile = b"\n\x1b[31m\xff\xfe\x07 \t\xc3"
    image = os.fsencode(tmp_path) + b"/" + hostile
    Path(os.fsdecode(image)).symlink_to("/bin/true")
    _, event = run_one(collection, [hostile, hostile + b"2", b"\x80"], image)
    assert event["image"] == image
    assert event["command_line"] == b"\0".join([hostile, hostile + b"2", b"\x80"])
    assert event["name"] == hostile[:15]


@pytest.mark.parametrize("length", [IMAGE_BYTES - 1, IMAGE_BYTES, IMAGE_BYTES + 1])
def test_long_image(collection: Collection, tmp_path: Path, length: int) -> None:
    """If it failed, a long path would be cut without a word, or a limit be off by one."""
    folder = os.fsencode(tmp_path)
    image = folder + b"/" * (length - len(folder) - 4) + b"name"
    Path(os.fsdecode(image)).symlink_to("/bin/true")
    _, event = run_one(collection, [b"true"], image)
    definition = collection.rings["process"].template_type
    assert event["image"] == image[:IMAGE_BYTES]
    assert is_truncated(definition, event, "image") is (length > IMAGE_BYTES)


def test_script_is_its_own_image(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a script would hide behind its interpreter."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh -e\n:\n")
    script.chmod(0o700)
    _, event = run_one(collection, [b"ignored", b"argument"], os.fsencode(script))
    assert event["image"] == os.fsencode(script)
    assert event["command_line"] == b"/bin/sh\0-e\0%b\0argument" % os.fsencode(script)
    assert event["argument_count"] == 4


def test_relative_image_stays_relative(collection: Collection, tmp_path: Path) -> None:
    """If it failed, the image would not be what the program was asked for as."""
    (tmp_path / "here").symlink_to("/bin/true")
    process = subprocess.Popen(["./here"], cwd=tmp_path)
    process.wait(patient(10))
    (event,) = collection.take("process", [process.pid])
    assert event["image"] == b"./here"


def test_exec_from_another_thread(collection: Collection) -> None:
    """If it failed, a thread that becomes the process would be missed or have a wrong pid."""
    pid = run_python(
        "thread = threading.Thread(target=os.execv, args=('/bin/true', ['true', 'threaded']))\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    _, event = collection.take("process", [pid])
    assert event["command_line"] == b"true\0threaded"
    assert (event["pid"], event["thread_id"]) == (pid, pid)


def test_failed_exec_is_no_event(collection: Collection) -> None:
    """If it failed, a program that never ran would be reported."""
    pid = run_python(
        "try:\n    os.execv('/nonexistent', ['x'])\nexcept FileNotFoundError:\n    pass\n"
    )
    assert len(collection.take("process", [pid])) == 1
