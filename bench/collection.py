"""What does collecting events cost: to start, to those who cause events, and to read them?"""

import contextlib
import mmap
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent import channel
from agent.channel import Message, Sender
from bench import least_programs
from bench.harness import Figure, NotMeasurableError, Peer, from_samples, run
from bench.least_programs import SmallProgram
from bench.peer_bpftrace import PRINTING_EXECS, PRINTING_OPENS, bpftrace
from content.definitions import TemplateType, load_definitions
from probes.bcc_programs import attach, build, kind_at
from probes.errors import ProbeError
from probes.kernel_source import kernel_source
from probes.limits import LIMITS
from probes.loader import LoadedProbes, load
from probes.ring import Ring
from probes.tracefs import mount_privately
from probes.tracepoints import ENTRY_SPARED

STARTS = 10
ROUNDS = 7
OPENS = 5_000
EXECS = 200
READS = 20
QUICK_DIVISOR = 5
STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")
ENVIRONMENT = {"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1"}
COLUMNS = ("pid", "operation", "result", "path_length", "present", "truncated")

BEGINNINGS = {
    "": (),
    ", lineage alone": ("--types", ""),
    ", process alone": ("--types", "1"),
}
"""All Template Types, and fewer: name of the figure → options."""
JOIN = "collector: start to attached, file joining process, median"

EXEC = ("on_exec", "on_exec_process", "on_exec_privilege", "on_exec_memory")
END = ("on_exit", "forget_calls", "on_free")
OPEN = ("enter_openat", "exit_file")

Work = Callable[[int, str], None]


def measure(*, quick: bool) -> list[Figure]:
    """Start and join, added cost per exec and open, time in BPF, time to read."""
    if os.geteuid() != 0:
        raise NotMeasurableError("needs root")
    mount_privately()
    divisor = QUICK_DIVISOR if quick else 1
    figures = _starts(max(2, STARTS // divisor))
    with tempfile.TemporaryDirectory() as folder:
        before = _costs(folder, divisor, lambda: None)
        with _collection() as (types, probes), _reader(probes, types) as read_all:
            during = _costs(folder, divisor, read_all)
            figures += _time_in_bpf(probes, folder, divisor, read_all)
            figures += _read_time(probes, types, folder)
    for name, samples in during.items():
        alone = Peer("without collection", min(before[name]))
        figures.append(Figure(name, min(samples), "µs", None, alone, tuple(samples)))
    return figures


def _starts(count: int) -> list[Figure]:
    """From the exec of a collector until its supervisor has what it needs."""
    samples: dict[str, list[float]] = {}
    for what, arguments in BEGINNINGS.items():
        name = f"collector: start to attached{what}, median"
        for _ in range(count):
            with _collector(*arguments) as (_, seconds):
                samples.setdefault(name, []).append(seconds)
    with _collector("--types", "1") as (running, _):
        for _ in range(count):
            with _collector("--types", "2", "--join", joins=running) as (_, seconds):
                samples.setdefault(JOIN, []).append(seconds)
    return [from_samples(name, seconds, unit="s", bar="<= 1") for name, seconds in samples.items()]


@dataclass(slots=True)
class _Handed:
    """What a collector handed over; common: counters and shared maps."""

    shared: list[str]
    common: list[int]
    descriptors: list[int]


@contextmanager
def _collector(*arguments: str, joins: _Handed | None = None) -> Iterator[tuple[_Handed, float]]:
    ours, theirs = channel.pair()
    ours.setblocking(True)
    with ours, theirs:
        began = time.monotonic()
        command = [sys.executable, "-I", "-m", "agent.collector", "--rung", "bpf_btf", *arguments]
        command += ["--channel-fd", str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), env=ENVIRONMENT)
        if joins is not None:
            channel.send(ours, "join", descriptors=joins.common, shared=joins.shared)
        handed = _receive_all(ours)
        seconds = time.monotonic() - began
        process.wait()
    try:
        yield handed, seconds
    finally:  # to detach takes long, and is not the collector's
        for descriptor in handed.descriptors:
            os.close(descriptor)


def _receive_all(ours: socket.socket) -> _Handed:
    message = _receive(ours)
    descriptors = list(message.descriptors)
    begin = len(message["rings"])
    common = descriptors[begin : begin + bool(message["counters"]) + len(message["shared"])]
    left = int(message["more"])
    while left:
        message_of_more = _receive(ours)
        descriptors.extend(message_of_more.descriptors)
        left = int(message_of_more["more"])
    return _Handed(list(message["shared"]), common, descriptors)


def _receive(ours: socket.socket) -> Message:
    message = channel.receive(ours, Sender.COLLECTOR)
    if message is None or message.kind == "failed":
        reason = message["detail"] if message else "the collector died"
        raise NotMeasurableError(str(reason))
    return message


@contextmanager
def _collection() -> Iterator[tuple[dict[int, TemplateType], LoadedProbes]]:
    types = dict(load_definitions())
    try:
        sizes = {one: LIMITS.ring_bytes.get(one, LIMITS.other_ring_bytes) for one in types}
        probes = load(tuple(types.values()), sizes)
    except ProbeError as error:
        raise NotMeasurableError(error.detail) from error
    try:
        yield types, probes
    finally:
        probes.close()


@contextmanager
def _reader(probes: LoadedProbes, types: dict[int, TemplateType]) -> Iterator[Callable[[], None]]:
    """What empties all rings: in one that fills up, records cost their share, or are refused."""
    with ExitStack() as rings:
        opened = [
            rings.enter_context(
                Ring(told.descriptor, told.stride, told.size, told.kind, types[told.template_type])
            )
            for told in probes.rings
        ]

        def read_all() -> None:
            for ring in opened:
                ring.commit(ring.producer_position)

        yield read_all


def _costs(folder: str, divisor: int, read_all: Callable[[], None]) -> dict[str, list[float]]:
    """Microseconds per operation, one sample per round."""
    works: dict[str, tuple[Work, int]] = {
        "open for writing and close, least": (_open_to_write, OPENS // divisor),
        "open for reading and close, least": (_open_to_read, OPENS // divisor),
        "map and unmap memory, least": (_map_memory, OPENS // divisor),
        "send of a datagram, not to port 53, least": (_send, OPENS // divisor),
        "start of /bin/true until it has ended, least": (_execute, EXECS // divisor),
    }
    return {
        name: [_microseconds(work, count, folder, read_all) for _ in range(ROUNDS)]
        for name, (work, count) in works.items()
    }


def _microseconds(work: Work, count: int, folder: str, read_all: Callable[[], None]) -> float:
    read_all()
    began = time.perf_counter_ns()
    work(count, folder)
    return (time.perf_counter_ns() - began) / count / 1000


def _open_to_write(count: int, folder: str) -> None:
    path = os.path.join(folder, "file")  # noqa: PTH118 — as little work of ours as possible
    for _ in range(count):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def _open_to_read(count: int, folder: str) -> None:
    for _ in range(count):
        os.close(os.open(folder, os.O_RDONLY))


def _map_memory(count: int, _folder: str) -> None:
    for _ in range(count):
        mmap.mmap(-1, mmap.PAGESIZE).close()


def _send(count: int, _folder: str) -> None:
    """To a socket of our own, which drops what it has no room for."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        for _ in range(count):
            client.send(b"x")


def _execute(count: int, _folder: str) -> None:
    for _ in range(count):
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.waitpid(pid, 0)


def _time_in_bpf(
    probes: LoadedProbes, folder: str, divisor: int, read_all: Callable[[], None]
) -> list[Figure]:
    """Nanoseconds in programs that run often, as the kernel counts them."""
    opens, execs = OPENS // divisor, EXECS // divisor
    works: list[tuple[str, Work, int, tuple[str, ...], str | None]] = [
        ("an exec", _execute, execs, EXEC, "<= 1500"),
        ("the end of a process", _execute, execs, END, None),
        ("an open for writing", _open_to_write, opens, OPEN, "<= 200"),
        ("an open for reading", _open_to_read, opens, OPEN, "<= 200"),
        ("a map that is no event", _map_memory, opens, ("enter_mmap", "exit_memory"), None),
        ("a send that is no event", _send, opens, ("enter_sendto", "exit_send"), None),
    ]
    kept = STATISTICS.read_text(encoding="ascii")
    STATISTICS.write_text("1", encoding="ascii")
    try:
        peers = {
            "an exec": _peer(PRINTING_EXECS, _execute, execs, folder, read_all),
            "an open for writing": _peer(PRINTING_OPENS, _open_to_write, opens, folder, read_all),
        }
        figures = [
            from_samples(
                f"time in BPF of {what}, median",
                [
                    _nanoseconds(_facts(probes.programs, names), work, count, folder, read_all)
                    for _ in range(ROUNDS)
                ],
                unit="ns",
                bar=bar,
                peer=peers.get(what),
            )
            for what, work, count, names, bar in works
        ]
        floors = [
            _time_of_small(small, work, count, folder)
            for programs, work, count in (
                (least_programs.AN_EXEC, _execute, execs),
                (least_programs.AN_OPEN, _open_to_write, opens),
            )
            for small in programs
        ]
    finally:
        STATISTICS.write_text(kept, encoding="ascii")
    return figures + floors


def _time_of_small(small: SmallProgram, work: Work, count: int, folder: str) -> Figure:
    function = small.point.function
    with kernel_source():
        built = build(small.text, {function: kind_at(small.point)}, ())
    attachment = attach(built.programs[function], small.point)
    try:
        samples = [
            _nanoseconds(_facts(built.programs, (function,)), work, count, folder, _nothing)
            for _ in range(ROUNDS)
        ]
    finally:
        os.close(attachment)
        built.close()
    return from_samples(f"time in BPF of {small.what}, median", samples, unit="ns")


def _peer(
    script: str, work: Work, count: int, folder: str, read_all: Callable[[], None]
) -> Peer | None:
    """The same for the program that bpftrace makes of a script; None where it can't be had."""
    with contextlib.suppress(NotMeasurableError), bpftrace(script) as watching:
        every = Path(f"/proc/{watching.pid}/fdinfo").iterdir()
        facts = [one for one in every if "run_cnt" in one.read_text(encoding="ascii")]
        samples = [_nanoseconds(facts, work, count, folder, read_all) for _ in range(ROUNDS)]
        return Peer("bpftrace, printing", statistics.median(samples))
    return None


def _nothing() -> None:
    """What empties rings where there are none of ours."""


def _facts(programs: Mapping[str, int], names: Sequence[str]) -> list[Path]:
    """Where the kernel tells of these programs."""
    there = [name for name in names if name in programs or name not in ENTRY_SPARED]
    return [Path(f"/proc/self/fdinfo/{programs[name]}") for name in there]


def _nanoseconds(
    facts: Sequence[Path], work: Work, count: int, folder: str, read_all: Callable[[], None]
) -> float:
    """Mean time of a run of each of these programs while the work is done, added up."""
    read_all()
    before = [_runs(one) for one in facts]
    work(count, folder)
    after = [_runs(one) for one in facts]
    return sum(
        (now[0] - then[0]) / max(1, now[1] - then[1])
        for then, now in zip(before, after, strict=True)
    )


def _runs(facts: Path) -> tuple[int, int]:
    """Nanoseconds and runs of a program until now."""
    lines = facts.read_text(encoding="ascii").splitlines()
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(told["run_time_ns"]), int(told["run_cnt"])


def _read_time(probes: LoadedProbes, types: dict[int, TemplateType], folder: str) -> list[Figure]:
    """Nanoseconds per record of a full ring: found, checked, and six columns read."""
    told = next(ring for ring in probes.rings if types[ring.template_type].name == "file")
    samples = []
    template_type = types[told.template_type]
    with Ring(told.descriptor, told.stride, told.size, told.kind, template_type) as ring:
        ring.commit(ring.producer_position)
        capacity = told.size // told.stride
        _open_to_write(capacity, folder)
        for _ in range(READS):
            began = time.perf_counter_ns()
            batch = ring.read(ring.consumer_position, capacity)
            for column in COLUMNS:
                batch[column].sum()
            samples.append((time.perf_counter_ns() - began) / max(1, len(batch)))
            del batch
    return [from_samples("reading a record with six columns, median", samples, unit="ns")]


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
