"""A NATS server of the tests' own, with JetStream's store in a scratch folder."""

import asyncio
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nats

from cloud.messaging.stream import STREAM
from tests.needs import require_command
from tests.process.waiting import until


@dataclass
class NatsServer:
    """`start` and `stop` may be called again and again; what it stores stays."""

    program: str
    folder: Path
    port: int
    options: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve until `stop`; it answers when this returns."""
        options = ("-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder))
        with (self.folder / "log").open("ab") as log:
            command = [self.program, *options, *self.options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, 20)

    def stop(self, number: int = signal.SIGKILL) -> None:
        """End it; a PubAck that it gave has to hold all the same."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(20)

    def queued(self) -> int:
        """How many reports were ever put into the stream."""

        async def ask() -> int:
            client = await nats.connect(self.url)
            try:
                info = await client.jetstream().stream_info(STREAM)
            finally:
                await client.close()
            return int(info.state.last_seq)

        return asyncio.run(ask())

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
            return probe.recv(4) == b"INFO"


@contextmanager
def new_nats() -> Iterator[NatsServer]:
    """A server that serves."""
    program = require_command("nats-server", "nats-server")
    with tempfile.TemporaryDirectory(prefix="bulkhead-nats-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        server = NatsServer(program, Path(folder), port)
        server.start()
        try:
            yield server
        finally:
            server.stop()
