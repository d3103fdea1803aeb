"""For each Template Type a program that causes a known number of its events, and their count."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.kernel.bpf_objects import BPF_SYSTEM_CALL
from tests.kernel.collection import Collection, Event
from tests.kernel.workload import run_python

TIMES = 3
MARK = b"type-workload"

Mine = Callable[[Event], bool]


def _all(_: Event) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Workload:
    """What is done TIMES times in `run_python`. of_children: whether children's events count."""

    program: str
    mine: Mine = _all
    of_children: bool = False


def _names(field: str) -> Mine:
    return lambda event: MARK in bytes(event.get(field, b""))


_TEXT = MARK.decode()

WORKLOADS: Mapping[str, Workload] = {
    "process": Workload(
        f"os.waitpid(os.posix_spawn('/bin/true', ['true', '{_TEXT}'], {{}}), 0)",
        mine=_names("command_line"),
        of_children=True,
    ),
    "file": Workload(f"library.open(b'/{_TEXT}', os.O_WRONLY)", mine=_names("path")),
    "network": Workload("socket.socket().connect_ex(('127.0.0.1', 1))"),
    "ipc": Workload(f"socket.socket(socket.AF_UNIX).connect_ex('/{_TEXT}')"),
    "exit": Workload("os.waitpid(os.fork() or os._exit(7), 0)", of_children=True),
    "privilege": Workload("os.setuid(os.getuid())"),
    "module": Workload(f"call({BPF_SYSTEM_CALL}, 5, bytes(128), 128)"),
    "process_access": Workload("os.kill(waiting, 18)"),
    "memory": Workload(f"os.close(os.memfd_create('{_TEXT}'))", mine=_names("file_name")),
    "dns": Workload(
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'none', ('127.0.0.1', 53))"
    ),
}

_BEFORE = """
end, begin = os.pipe()
waiting = os.fork()
if not waiting:
    os.close(begin)
    os.read(end, 1)
    os._exit(7)
"""
_AFTER = """
os.close(begin)
os.waitpid(waiting, 0)
"""


def program_of(*names: str) -> str:
    """A program with the workloads of these Template Types."""
    works = "".join(f"for _ in range({TIMES}):\n    {WORKLOADS[name].program}\n" for name in names)
    return _BEFORE + works + _AFTER


def run(*names: str) -> int:
    """Do the work of these types; returns the pid of the process that did."""
    return run_python(program_of(*names))


def seen(collection: Collection, name: str, pid: int) -> list[Event]:
    """The events of one type that the work of that process caused."""
    workload = WORKLOADS[name]
    if workload.of_children:
        events = collection.take(name, parents=[pid])
    else:
        events = collection.take(name, pids=[pid])
    return [event for event in events if workload.mine(event)]


def expected(name: str, *done: str) -> int:
    """How many events of a type the work of all these types causes."""
    children = 1  # who waits
    if name == "exit":
        return children + TIMES * ("exit" in done) + TIMES * ("process" in done)
    return TIMES * (name in done)
