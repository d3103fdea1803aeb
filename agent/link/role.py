"""The link role: acquire → warm up → lock down → loop.

The main thread owns the supervisor's channel and the store; the session's thread owns the cloud.
Each turn of the loop takes what the supervisor has sent and what the session has posted, stores
all of it in one transaction, tells the supervisor how far its reports are durable, and wakes the
session. Nothing in the loop waits for the supervisor or for the cloud.

It ends, with everything stored that it was sent, when the supervisor says stop or is gone.
"""

import argparse
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from agent.channel import ProtocolViolationError, Sender, receive
from agent.link.credentials import Credentials
from agent.link.detection_log import DetectionLog
from agent.link.errors import ConfigurationError, LinkError, StoreError
from agent.link.intake import Intake, identity
from agent.link.limits import LIMITS
from agent.link.log import say
from agent.link.mailbox import Mailbox
from agent.link.metadata_store import MetadataStore
from agent.link.outbox_file import OutboxFolder, open_folder
from agent.link.rendering import Renderer
from agent.link.sensor import Sensor, installed
from agent.link.session import Session, read_cloud
from agent.link.store import Batch, Store
from agent.link.supervisor_channel import SupervisorChannel
from agent.link.verifier import Verifier
from agent.sandbox import LINK, SandboxError, lock_down
from content.definitions import load_definitions

EXIT_OK, EXIT_FAILED, EXIT_MISCONFIGURED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Settings:
    """The role's command line."""

    channel_fd: int
    folder: Path
    agent_id: str
    cloud: str
    tls: Path | None


def run(arguments: Sequence[str]) -> int:
    """Be the link until the supervisor has no more use for it; returns the exit status."""
    settings = _parse(arguments)
    try:
        return _run(settings)
    except ConfigurationError as error:
        say(str(error))
        return EXIT_MISCONFIGURED
    except (LinkError, SandboxError, ProtocolViolationError, sqlite3.Error) as error:
        say(f"{type(error).__name__}: {error}")
        return EXIT_FAILED


def _run(settings: Settings) -> int:
    channel = socket.socket(fileno=settings.channel_fd)
    cloud = read_cloud(settings.cloud, settings.tls) if settings.cloud and settings.tls else None
    sensor = _introduce(channel, settings)
    if sensor is None:
        return EXIT_OK
    folder = open_folder(settings.folder, time.time_ns)
    verifier = Verifier(cloud.root, MetadataStore(settings.folder), _utc_now) if cloud else None
    log = DetectionLog(settings.folder, folder.outbox.log_position())
    renderer = Renderer(sensor.software.types)
    store = Store(folder.outbox, log, renderer.line, time.time_ns, delivering=cloud is not None)
    # Everything is open, and there is one thread: from here on, only the folder and the cloud.
    lock_down(LINK.with_state(settings.folder, [cloud.port] if cloud else []), channel)
    session = None
    if cloud is not None and verifier is not None:
        credentials = Credentials(settings.folder, cloud.authority, cloud.installed)
        session = partial(Session, cloud, credentials, sensor, verifier)
    return Link(SupervisorChannel(channel), sensor, store, folder, session).run()


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _parse(arguments: Sequence[str]) -> Settings:
    parser = argparse.ArgumentParser(
        prog="agent.link", description="Bulkhead's link to the cloud.", allow_abbrev=False
    )
    parser.add_argument("--channel-fd", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--agent-id", required=True)
    parser.add_argument("--cloud", default="", metavar="HOST:PORT")
    parser.add_argument("--tls", type=Path, metavar="FOLDER")
    chosen = parser.parse_args(arguments)
    if bool(chosen.cloud) != (chosen.tls is not None):
        parser.error("--cloud and --tls go together")
    return Settings(**vars(chosen))


def _introduce(channel: socket.socket, settings: Settings) -> Sensor | None:
    """Who we are, from the supervisor's first message; None where it is gone already."""
    first = receive(channel, Sender.SUPERVISOR)
    if first is None or first.kind == "stop":
        return None
    if first.kind != "identity":
        raise ProtocolViolationError(f"expected identity, got {first.kind}")
    told = identity(first)
    if told.agent != settings.agent_id:
        raise ConfigurationError(
            "AGENT_ID", f"found {told.agent!r:.80} in identity, expected {settings.agent_id!r:.80}"
        )
    sensor = Sensor(told, installed(load_definitions()))
    Intake(sensor, time.time_ns).take(first)
    return sensor


class Link:
    """The loop. A session exists from the moment on at which there is a cloud and a rung."""

    def __init__(
        self,
        channel: SupervisorChannel,
        sensor: Sensor,
        store: Store,
        folder: OutboxFolder,
        new_session: Callable[..., Session] | None,
    ) -> None:
        self._channel = channel
        self._sensor = sensor
        self._store = store
        self._folder = folder
        self._new_session = new_session
        self._mailbox = Mailbox()
        self._intake = Intake(sensor, time.time_ns)
        self._session: Session | None = None
        self._retry_at = 0.0
        self._told_at = 0.0
        self._told: dict[str, int | str] = {}
        self._next_receipt = 0.0

    def run(self) -> int:
        """Turn until the supervisor says stop or is gone."""
        while not (self._intake.stopping or self._channel.closed):
            self._turn()
        return self._finish()

    def _turn(self) -> None:
        now = time.monotonic()
        stuck = self._retry_at > now
        self._channel.wait(self._mailbox.descriptor, self._due() - now, reading=not stuck)
        if not stuck:
            self._listen()
        self._take_mail()
        self._save()
        self._keep_session()
        self._beat()
        self._channel.flush()

    def _due(self) -> float:
        """When there is something to do although nobody has sent anything."""
        news = self._facts() != self._told
        beat = self._told_at + (LIMITS.news_seconds if news else LIMITS.heartbeat_seconds)
        if self._retry_at:
            return min(beat, self._retry_at)
        return min(beat, self._next_receipt) if self._intake.batch else beat

    def _facts(self) -> dict[str, int | str]:
        """How we are, for the supervisor."""
        return {
            "connected": int(self._mailbox.connected),
            "outbox": self._store.waiting,
            "dropped": self._store.dropped,
            "own_activity": self._intake.own_activity.detections,
            "metadata_root": self._sensor.trust.root,
            "metadata_good": int(self._sensor.trust.good),
            "deliveries_refused": self._sensor.trust.refused,
            "last_refusal": self._sensor.trust.because,
            "certificate_ends": self._sensor.certificate.ends,
            "renewal_refused": self._sensor.certificate.because,
        }

    def _listen(self) -> None:
        heartbeat = self._sensor.heartbeat
        for message in self._channel.messages():
            self._intake.take(message)
            if self._intake.stopping:
                return
        if self._sensor.heartbeat is not heartbeat:
            self._wake()

    def _take_mail(self) -> None:
        post = self._mailbox.take()
        batch = self._intake.batch
        batch.receipt = max(batch.receipt, post.receipt)
        batch.refused.extend(post.refused)
        batch.acknowledgements.extend(post.refusals)
        for hand_over in post.hand_overs:
            self._channel.hand_over(hand_over)

    def _save(self) -> None:
        """Store what has been gathered; where that fails, keep it and stop reading for a while."""
        batch, now, more = self._intake.batch, time.monotonic(), False
        if now < self._retry_at:
            return
        try:
            if batch.urgent or (batch and now >= self._next_receipt):
                self._store.commit(self._sensor.identity.run, batch)
                self._intake.batch = Batch()
                self._next_receipt = now + LIMITS.receipt_seconds
                self._mailbox.receipts_stored()
            if self._store.losses_due():
                self._store.report_losses()
                more = True
        except StoreError as error:
            say(f"{error}; trying again")
            self._retry_at = time.monotonic() + LIMITS.store_retry_seconds
            return
        self._retry_at = 0.0
        if batch.reports:
            self._channel.stored(batch.reports[-1].number)
        if batch.urgent or more:
            self._wake()

    def _keep_session(self) -> None:
        changed, self._intake.identity_changed = self._intake.identity_changed, False
        if self._session is not None:
            if not self._session.alive:
                raise LinkError("SESSION_THREAD", "the session's thread has ended by itself")
            if changed:
                self._session.renew()
        elif self._new_session is not None and self._sensor.identity.rung:
            self._session = self._new_session(self._folder.reader, self._mailbox)
            self._session.start()

    def _wake(self) -> None:
        if self._session is not None:
            self._session.wake()

    def _beat(self) -> None:
        now, facts = time.monotonic(), self._facts()
        silence = now - self._told_at
        if silence >= LIMITS.heartbeat_seconds or (
            facts != self._told and silence >= LIMITS.news_seconds
        ):
            self._told_at, self._told = now, facts
            self._channel.heartbeat(facts)

    def _finish(self) -> int:
        """Store and confirm what is left, hang up, close; in well under a second."""
        self._retry_at = self._next_receipt = 0.0
        self._take_mail()
        self._save()
        deadline = time.monotonic() + LIMITS.farewell_seconds
        while not self._channel.flush() and time.monotonic() < deadline:
            self._channel.wait(self._mailbox.descriptor, deadline - time.monotonic(), reading=False)
        ended = self._session is None or self._session.stop()
        if not ended:
            # All is stored; a thread that hangs in a library must not hold the process back.
            os._exit(EXIT_OK)
        self._folder.close()
        return EXIT_OK
