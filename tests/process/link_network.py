"""A stretch of network between link and cloud that can be cut without anybody being told."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

CHUNK = 65536


@dataclass
class Network:
    """Forwards connections to a port on loopback; while `frozen`, bytes go nowhere."""

    target: int
    frozen: bool = False
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _ended: threading.Event = field(default_factory=threading.Event)
    _peers: dict[socket.socket, socket.socket] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """HOST:PORT for the link."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def run(self) -> None:
        """Forward until `stop`."""
        while not self._ended.is_set():
            if self.frozen:
                self._ended.wait(0.01)
                continue
            readable, _, _ = select.select([self._listener, *self._peers], [], [], 0.05)
            for one in readable:
                if one is self._listener:
                    self._connect()
                elif one in self._peers:
                    self._forward(one)

    def stop(self) -> None:
        """End all connections."""
        self._ended.set()

    def close(self) -> None:
        """Release the sockets of a network that has stopped."""
        for one in (self._listener, *self._peers):
            one.close()

    def _connect(self) -> None:
        ours, _ = self._listener.accept()
        try:
            theirs = socket.create_connection(("127.0.0.1", self.target), timeout=1.0)
        except OSError:
            ours.close()
            return
        self._peers |= {ours: theirs, theirs: ours}

    def _forward(self, source: socket.socket) -> None:
        peer = self._peers[source]
        try:
            data = source.recv(CHUNK)
            peer.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (source, peer):
                del self._peers[one]
                one.close()


@contextlib.contextmanager
def network(target: int) -> Iterator[Network]:
    """A network in front of a port."""
    running = Network(target)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield running
    finally:
        running.stop()
        thread.join()
        running.close()
