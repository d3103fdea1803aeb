"""The session's thread: keeps one session with the cloud open, for ever, with pauses in between.

A thread of its own, so that neither a stalled cloud nor a stalled disk holds up the other side. It
owns the asyncio loop and everything of gRPC; it gets what it sends from the outbox through a
connection of its own and posts what it receives to the mailbox.

Each try uses a new channel without a shared subchannel, so that the only backoff is ours.
"""

import asyncio
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from agent.link.conversation import Conversation, Progress
from agent.link.credentials import Credentials, Pair, installed_pair
from agent.link.errors import CloudError, ConfigurationError
from agent.link.limits import LIMITS
from agent.link.log import say
from agent.link.mailbox import Mailbox
from agent.link.outbox import OutboxReader
from agent.link.pause import Pause
from agent.link.reaching import reach
from agent.link.renewal import Renewal
from agent.link.sensor import Sensor
from agent.link.stub import Stub
from agent.link.verifier import Verifier
from bulkhead.v1 import sensor_service_pb2_grpc

MAX_CREDENTIAL_BYTES = 256 * 1024
MAX_PORT = 65535
OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    # The environment must not redirect a sensor.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", LIMITS.response_bytes),
)


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where the cloud is, and how both sides know each other; read before lock-down.

    authority: PEM. installed: certificate and key, as an operator has given them. root: the root
    metadata of the repository whose Channel Files are taken.
    """

    host: str
    port: int
    authority: bytes
    installed: Pair
    root: bytes

    @property
    def address(self) -> str:
        """As gRPC wants it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_cloud(address: str, folder: Path) -> Cloud:
    """The cloud's settings; ConfigurationError where address or files are not as they must be."""
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= MAX_PORT:
        raise ConfigurationError("CLOUD_ADDRESS", f"found {address!r:.100}, expected HOST:PORT")
    authority = _pem(folder / "ca.pem")
    chain, key = _pem(folder / "agent.pem"), _pem(folder / "agent.key")
    return Cloud(
        host=host.strip("[]"),
        port=int(port),
        authority=authority,
        installed=installed_pair(folder, chain, key, authority),
        root=_read(folder / "root.json", "root metadata"),
    )


def _pem(path: Path) -> bytes:
    data = _read(path, "PEM")
    if b"-----BEGIN " not in data:
        raise ConfigurationError("TLS_FILE", f"{path}: expected PEM")
    return data


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CREDENTIAL_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            "TLS_FILE", f"{path}: {error.strerror}; expected {what}"
        ) from error
    if len(data) > MAX_CREDENTIAL_BYTES:
        raise ConfigurationError("TLS_FILE", f"{path}: expected {what}, not over 256 KiB")
    return data


class Session:
    """Runs until `stop`; the other methods may be called from the main thread at any time."""

    def __init__(
        self,
        cloud: Cloud,
        credentials: Credentials,
        sensor: Sensor,
        verifier: Verifier,
        reader: OutboxReader,
        mailbox: Mailbox,
    ) -> None:
        self._cloud = cloud
        self._credentials = credentials
        self._renewal = Renewal(credentials, sensor)
        self._sensor = sensor
        self._verifier = verifier
        self._reader = reader
        self._mailbox = mailbox
        self._progress = Progress()
        self._conversation: Conversation | None = None
        self._last_reason = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._talk: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="session", daemon=True)

    def start(self) -> None:
        """Begin; returns once the thread takes orders."""
        self._thread.start()
        self._started.wait()

    def wake(self) -> None:
        """There is something new to send."""
        self._order(self._wake_now)

    def renew(self) -> None:
        """What the hello says has changed: begin a new session."""
        self._order(self._hang_up)

    def stop(self) -> bool:
        """Hang up and end the thread; False if it did not end in time."""
        self._order(self._end)
        self._thread.join(LIMITS.stop_seconds)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; it ends only by `stop` or by a defect."""
        return self._thread.is_alive()

    def _order(self, call: Callable[[], object]) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:
            # The loop is closed: the thread has ended, and there is nobody to tell.
            return

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except asyncio.CancelledError:
            return
        finally:
            self._started.set()
            # Nobody else tells the main thread that this one has ended.
            self._mailbox.wake()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._started.set()
        pause = Pause(random.random)
        while True:
            connected_seconds, hint = await self._converse()
            await asyncio.sleep(pause.after(connected_seconds, hint))

    async def _converse(self) -> tuple[float, float | None]:
        """One session; for how many seconds it was connected, and when the cloud wants us back."""
        pair = self._credentials.pair
        credentials = grpc.ssl_channel_credentials(self._cloud.authority, pair.key, pair.chain)
        address = self._cloud.address
        async with grpc.aio.secure_channel(address, credentials, options=OPTIONS) as channel:
            stub = sensor_service_pb2_grpc.SensorServiceStub(channel)
            conversation = Conversation(
                stub, self._sensor, self._verifier, self._reader, self._mailbox, self._progress
            )
            self._conversation = conversation
            talk = self._talk = asyncio.create_task(_reach_and_talk(channel, conversation))
            renewing = asyncio.create_task(self._renew(stub, conversation))
            try:
                await asyncio.wait({talk, renewing}, return_when=asyncio.FIRST_COMPLETED)
                if renewing.done():
                    renewing.result()  # it ends by a defect of ours only
            finally:
                talk.cancel()
                renewing.cancel()
                self._conversation = None
            reason, text, hint = _reason(talk)
            self._end_of(conversation, reason, text)
            return conversation.connected_seconds, hint

    async def _renew(self, stub: Stub, conversation: Conversation) -> None:
        await conversation.welcomed.wait()
        await self._renewal.run(stub)

    def _end_of(self, conversation: Conversation, reason: str, text: str) -> None:
        """Say why, once per reason in a row (a cloud may be away for days); unblock the outbox."""
        if reason != self._last_reason:
            self._last_reason = reason
            say(f"session with {self._cloud.address} ended: {text}")
        refused = conversation.refused(reason)
        if refused is not None:
            say(f"giving up delivery {refused}, which the cloud calls invalid")
            self._progress.confirmed = max(self._progress.confirmed, refused)
            self._mailbox.post_refused(refused)

    def _wake_now(self) -> None:
        if self._conversation is not None:
            self._conversation.wake()

    def _hang_up(self) -> None:
        if self._talk is not None:
            self._talk.cancel()

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()


async def _reach_and_talk(channel: grpc.aio.Channel, conversation: Conversation) -> None:
    await reach(channel)
    await conversation.run()


def _reason(talk: "asyncio.Task[None]") -> tuple[str, str, float | None]:
    """Why a session ended: a code, words, the cloud's hint; a defect of ours is raised."""
    try:
        talk.result()
    except asyncio.CancelledError:
        return "SENSOR_CHANGED", "begun anew because the sensor has changed", None
    except TimeoutError:
        return "NO_WELCOME", "NO_WELCOME: the cloud did not answer in time", None
    except CloudError as error:
        return error.reason, str(error), error.retry_after
    return "CLOSED", "the cloud closed it", None
