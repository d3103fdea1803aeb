"""A role that does what a test wants: `python -m tests.process.played_role --channel-fd N WHAT`."""

import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agent.channel import Sender, receive, send
from agent.sandbox import EVALUATOR, lock_down

LONG_SECONDS = 60.0


def facts(channel: socket.socket) -> None:
    """Tell what this process is and has."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    names = ("Uid", "Gid", "Groups", "CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Umask")
    said = {name: lines[name].strip() for name in names}
    found = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    said["open"] = " ".join(f"{number}" for number in sorted(found - {channel.fileno()}))
    said["environment"] = " ".join(sorted(os.environ))
    said["folder"] = str(Path.cwd())
    said["isolated"] = str(sys.flags.isolated)
    send(channel, "heartbeat", facts=said)


def wait(channel: socket.socket) -> None:
    """Say that this process is there, and live until the channel is closed."""
    send(channel, "heartbeat", facts={})
    receive(channel, Sender.SUPERVISOR)


def flood(_channel: socket.socket) -> None:
    """Write a megabyte to standard error."""
    line = b"x" * 99 + b"\n"
    for _ in range(10):
        os.write(2, line * 1000)


def hostile(channel: socket.socket) -> None:
    """Print what is not text, close standard output, and go on."""
    os.write(2, b"\xff\xfe\x1b[31m last words\n")
    os.close(1)
    os.close(2)
    wait(channel)


def rubbish(channel: socket.socket) -> None:
    """Say something that is no message."""
    channel.send(b"rubbish")
    time.sleep(LONG_SECONDS)


def descriptors(channel: socket.socket) -> None:
    """Send descriptors with a message that needs none."""
    send(channel, "heartbeat", facts={}, descriptors=[0, 1, 2] * 20)
    time.sleep(LONG_SECONDS)


def spin(channel: socket.socket) -> None:
    """Say that this process is there, and compute until it is killed, on the first processor."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    send(channel, "heartbeat", facts={})
    while True:
        pass


def linger(channel: socket.socket) -> None:
    """Send a datagram without anything in it, which reads like an end, and live on."""
    channel.send(b"")
    time.sleep(LONG_SECONDS)


def false_listener(channel: socket.socket) -> None:
    """Send something that is no listener, as one; reading it would wait for ever."""
    reading, _ = os.pipe()
    send(channel, "locked", descriptors=[reading])
    time.sleep(LONG_SECONDS)


def no_listener(channel: socket.socket) -> None:
    """Say that one comes, and send none."""
    send(channel, "locked")
    time.sleep(LONG_SECONDS)


def two_listeners(channel: socket.socket) -> None:
    """Send more than one descriptor."""
    send(channel, "locked", descriptors=[0, 1])
    time.sleep(LONG_SECONDS)


def forbidden(channel: socket.socket) -> None:
    """Lock down as an evaluator, and open a file."""
    lock_down(EVALUATOR, channel)
    Path("/etc/hostname").read_bytes()
    os._exit(3)


def stuff(channel: socket.socket) -> None:
    """Say more than anybody reads in one turn, and end."""
    for _ in range(1000):
        send(channel, "heartbeat", facts={})


def crash(_channel: socket.socket) -> None:
    """Die of a signal."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)


def give_up(_channel: socket.socket) -> None:
    """End with a status."""
    sys.exit(7)


PLAYS: dict[str, Callable[[socket.socket], None]] = {
    play.__name__: play
    for play in (
        facts,
        wait,
        flood,
        hostile,
        rubbish,
        descriptors,
        spin,
        linger,
        false_listener,
        no_listener,
        two_listeners,
        forbidden,
        stuff,
        crash,
        give_up,
    )
}


if __name__ == "__main__":
    PLAYS[sys.argv[3]](socket.socket(fileno=int(sys.argv[2])))
