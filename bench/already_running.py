"""How soon are processes that ran before the sensor put into its ring, and at what cost?

A collector is started on a host with so many processes, and told to begin at once; its ring is read
as it fills. The processes are forks that sleep: /proc has as much to read of them as of others.
"""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from agent import channel
from agent.channel import Message, Sender
from bench.harness import Figure, NotMeasurableError, from_samples, run
from content.definitions import TemplateType, load_definitions
from probes.ring import Ring

PROCESSES, QUICK_PROCESSES = 2_000, 200
ROUNDS, QUICK_ROUNDS = 3, 2
SECONDS = 120.0
ENVIRONMENT = {"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1"}
COMMAND = (sys.executable, "-I", "-m", "agent.collector", "--rung", "bpf_btf", "--types", "1")


def measure(*, quick: bool) -> list[Figure]:
    """Seconds until all are in the ring, processor time for each, and how many were left out."""
    if os.geteuid() != 0:
        raise NotMeasurableError("needs root")
    (process_type,) = (one for one in load_definitions().values() if one.name == "process")
    count = QUICK_PROCESSES if quick else PROCESSES
    looks: list[Look] = []
    with _crowd(count):
        for _ in range(QUICK_ROUNDS if quick else ROUNDS):
            _, _, without = _collector(process_type)
            seconds, end, cpu = _collector(process_type, "--seed")
            looks.append((seconds, end, cpu - without))
    left = sum(int(end["left"]) for _, end, _ in looks)
    named = f"{count:,} processes that ran already"
    return [
        from_samples(
            f"{named}: order to the last one in the ring, median",
            [seconds for seconds, _, _ in looks],
            unit="s",
        ),
        from_samples(
            f"{named}: processor time for each, median",
            [cpu * 1e6 / max(1, int(end["written"])) for _, end, cpu in looks],
            unit="µs",
        ),
        Figure(f"{named}: not put into the ring", left, "processes", "= 0"),
    ]


Look = tuple[float, Message, float]
"""Seconds from the order to the end, what the collector said then, its processor time."""


@contextmanager
def _crowd(count: int) -> Iterator[None]:
    pids: list[int] = []
    try:
        for _ in range(count):
            pid = os.fork()
            if not pid:
                signal.pause()
                os._exit(0)
            pids.append(pid)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _collector(process_type: TemplateType, *more: str) -> Look:
    """Its whole life, with or without the look at processes."""
    ours, theirs = channel.pair()
    ours.settimeout(SECONDS)
    before = _children_cpu()
    with ours, theirs:
        command = [*COMMAND, *more, "--channel-fd", str(theirs.fileno())]
        with subprocess.Popen(command, pass_fds=(theirs.fileno(),), env=ENVIRONMENT) as process:
            message = _receive(ours, "attached")
            (told,) = message["rings"]
            with Ring(
                message.descriptors[0], told["stride"], told["bytes"], told["kind"], process_type
            ) as ring:
                seconds, end = _looked(ours, ring) if more else (0.0, message)
            process.wait()
            for descriptor in message.descriptors:
                os.close(descriptor)
    return seconds, end, _children_cpu() - before


def _looked(ours: socket.socket, ring: Ring) -> tuple[float, Message]:
    _receive(ours, "seeding")
    began = time.monotonic()
    channel.send(ours, "seed", position=0)
    while not (end := _receive(ours, "seeded"))["done"]:
        ring.commit(ring.producer_position)
    return time.monotonic() - began, end


def _receive(ours: socket.socket, kind: str) -> Message:
    message = channel.receive(ours, Sender.COLLECTOR)
    if message is None or message.kind != kind:
        raise NotMeasurableError(f"{message.fields if message else 'the collector died'}")
    return message


def _children_cpu() -> float:
    """Of children that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
