"""The polling collector's profile: reads /proc, writes nothing, talks to nobody."""

import os

import pytest

from tests.process import locked

POLL = """
seen = {process.info["pid"]: process.info for process in psutil.process_iter(
    ["pid", "ppid", "exe", "cmdline", "uids", "gids", "create_time", "username", "name"])}
me = seen[os.getpid()]
print(me["exe"] == os.path.realpath(sys.executable), me["ppid"] == os.getppid(), len(me["cmdline"]))
print(1 in seen, psutil.pid_exists(1), psutil.boot_time() > 0)
psutil.net_connections("inet")
"""


@pytest.mark.parametrize("user", ["", locked.NOBODY], ids=["self", "nobody"])
def test_psutil_sees_processes(user: str) -> None:
    """The lowest rung of the kernel dependency ladder would break."""
    if user:
        locked.require_other_user()
    ended = locked.run("COLLECTOR_PSUTIL", POLL, before="import psutil", user=user)
    assert (ended.how, ended.errors) == ("exit 0", "")
    assert ended.output == "True True 4\nTrue True True\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: others may not look")
def test_root_sees_the_image_of_others() -> None:
    """Without it, an event of the polling rung has no image; Landlock would cause that."""
    ended = locked.run("COLLECTOR_PSUTIL", "print(os.readlink(f'/proc/{os.getppid()}/exe') != '')")
    assert (ended.how, ended.output) == ("exit 0", "True\n")


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/tmp/bulkhead-planted', 'w')",
        "open('/dev/null', 'r+')",
        "os.open('/dev/null', os.O_WRONLY | os.O_APPEND)",
        "os.kill(os.getppid(), signal.SIGTERM)",
        "socket.socket(socket.AF_INET)",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.unlink('/tmp/bulkhead-planted')",
    ],
)
def test_attempt_ends_the_process(attempt: str) -> None:
    """A collector that was taken over through a process name could change the host."""
    assert locked.run("COLLECTOR_PSUTIL", attempt).how == "SIGSYS"


BPF_CALL = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
ASK = "ctypes.CDLL(None, use_errno=True).syscall({call}, {command}, b'\\xff' * 80, 80)"


@pytest.mark.parametrize(
    "command", [0, 5, 8, 9, 13, 28], ids=["map", "load", "attach", "detach", "by id", "link"]
)
def test_who_looks_at_processes_loads_nothing(command: int) -> None:
    """A collector that was taken over through a process name could put programs into the kernel."""
    attempt = ASK.format(call=BPF_CALL, command=command)
    assert locked.run("COLLECTOR_SEEDING", attempt).how == "SIGSYS"


def test_who_looks_at_processes_runs_a_program_that_is_there() -> None:
    """No process that ran already would be put to content."""
    attempt = ASK.format(call=BPF_CALL, command=10) + "; os.listdir('/proc'); print('there')"
    ended = locked.run("COLLECTOR_SEEDING", attempt)
    assert (ended.how, ended.output) == ("exit 0", "there\n")
