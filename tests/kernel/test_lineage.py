"""Who a process is and whose child: through recycled pids, namespaces and a start in a storm."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.kernel.collection import Collection, Event, collecting, decode, records_of
from tests.kernel.workload import run_python
from tests.needs import require_btf

PYTHON = os.fsencode(sys.executable)
TRIES = 50
STORM_SECONDS = 1.0

CLONE = """
import struct
CLONE3 = 435
CHILD = 17
def fork_as(pid):
    '''fork, and the child gets this pid; None if it is taken.'''
    wanted = ctypes.c_int(pid)
    arguments = struct.pack('10Q', 0, 0, 0, 0, CHILD, 0, 0, 0, ctypes.addressof(wanted), 1)
    held = ctypes.create_string_buffer(arguments, len(arguments))
    result = call(CLONE3, held, ctypes.c_size_t(len(arguments)))
    assert result >= 0 or result == -17, os.strerror(-result)
    return result if result >= 0 else None
def write_down(name, text):
    with open(path(name), 'w') as file:
        file.write(str(text))
"""

# A child runs a program and ends; its pid is given to a fork that runs none.
RECYCLED = f"""
for attempt in range({TRIES}):
    first = os.posix_spawn('/bin/true', ['true', 'the first of this pid'], {{}})
    os.waitpid(first, 0)
    second = fork_as(first)
    if second == 0:
        write_down('of-second', os.getpid())
        os.posix_spawn('/bin/true', ['true', 'child of the second'], {{}})
        os.wait()
        os._exit(0)
    if second is not None:
        assert os.waitpid(second, 0)[1] == 0
        break
else:
    raise SystemExit('somebody else always took the pid')
write_down('pid', first)
"""


def test_recycled_pid(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a process would bear the name of a dead stranger that had its pid."""
    run_python(CLONE + RECYCLED, tmp_path)
    pid = int((tmp_path / "pid").read_text())
    first, *_ = collection.take("process", [pid])[-1:]
    assert first["command_line"] == b"true\0the first of this pid"
    (opened,) = [
        event for event in collection.take("file", [pid]) if b"of-second" in bytes(event["path"])
    ]
    assert opened["image"] == PYTHON
    if "start_time" in collection.promised("process"):
        assert opened["start_time"] != 0
        assert int(opened["start_time"]) >= int(first["start_time"])


def test_child_of_a_recycled_pid(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a child would be the dead stranger's."""
    run_python(CLONE + RECYCLED, tmp_path)
    pid = int((tmp_path / "pid").read_text())
    (event,) = collection.take("process", parents=[pid])
    assert event["command_line"] == b"true\0child of the second"
    assert event["parent_image"] == PYTHON


def test_pid_is_the_hosts_in_a_namespace(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a container's pid 1 would be taken for the host's init."""
    program = CLONE + (
        "assert library.unshare(0x20000000) == 0\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    write_down('inside', os.getpid())\n"
        "    os.posix_spawn('/bin/true', ['true', 'grandchild'], {})\n"
        "    os.wait()\n"
        "    os.execv('/bin/true', ['true', 'first of its namespace'])\n"
        "write_down('outside', child)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    parent = run_python(program, tmp_path)
    pid = int((tmp_path / "outside").read_text())
    grandchild, event = collection.take("process", [pid], [pid])
    assert (tmp_path / "inside").read_text() == "1"
    assert (event["pid"], event["thread_id"], event["parent_pid"]) == (pid, pid, parent)
    assert (grandchild["parent_pid"], grandchild["parent_image"]) == (pid, PYTHON)
    assert int(grandchild["pid"]) > 1


def test_exit_of_the_first_thread_is_not_the_end(collection: Collection, tmp_path: Path) -> None:
    """If it failed, a process could shake off its name by ending its first thread."""
    program = (
        "def work():\n"
        "    while b') Z ' not in open('/proc/self/task/%d/stat' % os.getpid(), 'rb').read():\n"
        "        pass\n"
        "    os.close(os.open(path('late'), os.O_CREAT | os.O_WRONLY))\n"
        "    os._exit(0)\n"
        "threading.Thread(target=work).start()\n"
        f"library.syscall(ctypes.c_long({EXIT_CALL}), 0)\n"
    )
    pid = run_python(program, tmp_path)
    (event,) = [e for e in collection.take("file", [pid]) if bytes(e["path"]).endswith(b"/late")]
    assert event["image"] == PYTHON
    assert event["thread_id"] != pid


EXIT_CALL = {"x86_64": 60, "aarch64": 93}[os.uname().machine]


def test_removed_executable(collection: Collection, tmp_path: Path) -> None:
    """If it failed, malware that removes itself would lose its name."""
    program = tmp_path / "removes-itself"
    program.symlink_to("/bin/sh")
    command = f'rm "{program}"; /bin/true child; :'
    with subprocess.Popen([str(program), "-c", command]) as process:
        process.wait(10)
    (child,) = [
        event
        for event in collection.take("process", parents=[process.pid])
        if bytes(event["command_line"]).endswith(b"child")
    ]
    assert child["parent_image"] == os.fsencode(program)


def test_replaced_executable(collection: Collection, tmp_path: Path) -> None:
    """If it failed, what lies at a path now would be taken for what runs."""
    program = tmp_path / "is-replaced"
    program.write_bytes(Path("/bin/sh").read_bytes())
    program.chmod(0o700)
    command = f'rm "{program}"; ln -s /bin/true "{program}"; /bin/true child; :'
    with subprocess.Popen([str(program), "-c", command]) as process:
        process.wait(10)
    child = collection.take("process", parents=[process.pid])[-1]
    assert child["parent_image"] == os.fsencode(program)
    assert bytes(child["parent_command_line"]).endswith(b"/bin/true child; :")


def test_removed_executable_of_an_older_process(tmp_path: Path) -> None:
    """If it failed, a program that ran and was removed before the sensor came had another name."""
    require_btf()
    program = tmp_path / "older"
    program.write_bytes(Path("/bin/sh").read_bytes())
    program.chmod(0o700)
    command = [str(program), "-c", "read -r _; /bin/true child; :"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        program.unlink()
        with collecting("--rung", "bpf_btf", "--types", "1") as collection:
            process.communicate(b"\n")
            (event,) = collection.take("process", parents=[process.pid])
    assert event["parent_image"] == os.fsencode(program)


STORM = """
import os
while True:
    if os.fork() == 0:
        if os.fork() == 0:
            os.execv('/bin/true', ['true', 'of the storm'])
        os.wait()
        os._exit(0)
    os.wait()
"""


def test_start_during_a_storm_of_forks(tmp_path: Path) -> None:
    """If it failed, what starts while the sensor starts would be nobody's, or a stranger's."""
    require_btf()
    script = tmp_path / "storm"
    script.write_text(STORM)
    command = [sys.executable, "-I", "-S", str(script)]
    with subprocess.Popen(command) as storm:
        try:
            with collecting("--rung", "bpf_btf", "--types", "1") as collection:
                time.sleep(STORM_SECONDS)
                events = of_storm(collection)
        finally:
            storm.kill()
    own = b"\0".join(map(os.fsencode, command))
    parents = [event.get("parent_command_line") for event in events]
    # Until /proc was read a parent may be unknown. It is never another one, nor unknown later.
    known = parents.count(own)
    assert known > STORM_SECONDS * 10
    assert parents == [None] * (len(parents) - known) + [own] * known


def of_storm(collection: Collection) -> list[Event]:
    """What the storm executed until now."""
    ring = collection.rings["process"]
    events = [decode(ring.template_type, record) for record in records_of(ring)]
    return [event for event in events if event["command_line"] == b"true\0of the storm"]
