"""The whole serving process is an attacker's: a real server against a real link and supervisor.

The server has a good certificate, says what it likes and confirms what it is told. Nothing that it
does puts anything in force; all of it is said, by the sensor itself, and to the honest cloud that
comes after; and what the honest cloud offers is taken then.
"""

import contextlib
import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from agent.supervisor.control import ask
from bulkhead.v1 import report_pb2, sensor_service_pb2
from cloud.repository import next_timestamp
from cloud.signing import SigningKey, envelope
from content.channel_file import content_hash, pack
from tests.needs import require_sandbox_users
from tests.patience import patient
from tests.process.cloud_files import PROCESS, channel_file
from tests.process.link_cloud import Response, ScriptedCloud, running_cloud
from tests.process.link_repository import Repository, target
from tests.process.link_supervisor import link_folders
from tests.process.waiting import until

SECONDS = patient(30.0)
GOOD = pack(channel_file(1, PROCESS))
ENDLESS = b"x" * 65536


def signed(payload: bytes, *keys: SigningKey) -> list[bytes]:
    """An envelope as it is fetched."""
    return [envelope(payload, keys).SerializeToString()]


@dataclasses.dataclass
class World:
    """The sensor, the server that it is connected to, and the repository that it is enrolled in."""

    cloud: ScriptedCloud
    repository: Repository
    control: Path
    log: Path
    heard: dict[bytes, int] = dataclasses.field(default_factory=dict)
    along: sensor_service_pb2.Enclosed | None = None

    def status(self) -> dict[str, Any]:
        """What the supervisor says now."""
        return dict(ask(self.control))

    def refused(self) -> int:
        """How many deliveries its link has refused, as its status says."""
        return int(self.status()["roles"]["link"]["deliveries_refused"])

    def offer(self, payload: bytes = GOOD, version: int = 1) -> bytes:
        """Offer content; its hash."""
        name = content_hash(payload)
        self.cloud.push(
            Response(
                offer=sensor_service_pb2.Offer(
                    content_hash=name,
                    template_type=PROCESS.number,
                    version=version,
                    size_bytes=len(payload),
                    enclosed=self.along,
                )
            )
        )
        return name

    def next_told(self, name: bytes) -> tuple[int, list[str]]:
        """What the sensor says of content now that it has not said before."""
        until(lambda: len(self.told(name)) > self.heard.get(name, 0), SECONDS)
        told = self.told(name)
        self.heard[name] = len(told)
        return told[-1]

    def told(self, name: bytes) -> list[tuple[int, list[str]]]:
        """What the sensor has said of content: states with reasons."""
        return [
            (one.state, [problem.reason_code for problem in one.problems])
            for one in (r.acknowledgement for r in self.cloud.of_kind("acknowledgement"))
            if one.content_hash == name
        ]


@contextlib.contextmanager
def running_sensor(repository: Repository) -> Iterator[World]:
    """A supervisor as shipped on the lowest rung, connected."""
    with link_folders() as (state, tls), running_cloud() as cloud:
        (tls / "root.json").write_bytes(repository.installed)
        control, log = tls.parent / "control.sock", tls.parent / "agent.log"
        command = [sys.executable, "-I", "-m", "agent.supervisor", "--rung", "psutil"]
        command += ["--state", str(state.parent / "sensor"), "--control", str(control)]
        command += ["--cloud", cloud.address, "--tls", str(tls), "--trust", str(tls / "root.json")]
        with log.open("wb") as file:
            process = subprocess.Popen(command, stderr=file, stdin=subprocess.DEVNULL)
        try:
            yield World(cloud, repository, control, log)
        except AssertionError as error:
            said = log.read_text(encoding="utf-8", errors="replace")
            raise AssertionError(f"{error}; the sensor says:\n{said[-4000:]}") from error
        finally:
            process.terminate()
            process.wait(SECONDS)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A sensor that is enrolled in a repository with one Channel File."""
    require_sandbox_users()
    with running_sensor(Repository()) as made:
        until(lambda: bool(made.cloud.hellos), SECONDS)
        yield made


def own(world: World) -> None:
    """Metadata of the attacker's own, root and all."""
    other = Repository()
    other.rotate("root")
    other.publish(target(GOOD, PROCESS.number))
    world.cloud.serve(other)


def online_keys(world: World) -> None:
    """Snapshot and timestamp as they have to be, by stolen keys, of targets of the attacker's."""
    stolen = Repository(keys={**world.repository.keys, "targets": [SigningKey.generate()]})
    stolen.publish(target(GOOD, PROCESS.number))
    world.cloud.serve(stolen)


def frozen(world: World) -> None:
    """A timestamp of four days ago."""
    repository = world.repository
    key, data = repository.keys["timestamp"][0], repository.snapshot
    assert data is not None
    old = next_timestamp(
        repository.root.signed,
        repository.timestamp,
        data.to_bytes(),
        key,
        repository.now - timedelta(days=4),
    )
    world.cloud.serve(repository)
    world.cloud.metadata[("timestamp", 0)] = [old.to_bytes()]


def endless(world: World) -> None:
    """A timestamp that never ends."""
    world.cloud.serve(world.repository)
    world.cloud.metadata[("timestamp", 0)] = itertools.repeat(ENDLESS)


def none(world: World) -> None:
    """No metadata at all."""
    world.cloud.metadata = {}


def broken(world: World) -> None:
    """A server that answers with errors."""
    world.cloud.metadata = {("root", 2): grpc.StatusCode.INTERNAL}


def not_published(world: World) -> None:
    """Good metadata that don't name what is offered."""
    world.cloud.serve(world.repository)


def published(world: World) -> None:
    """Good metadata that name it."""
    if not world.repository.metadata[("timestamp", 0)] or not _names(world.repository):
        world.repository.publish(target(GOOD, PROCESS.number))
    world.cloud.serve(world.repository)


def _names(repository: Repository) -> bool:
    assert repository.targets is not None
    return target(GOOD).name in repository.targets.signed.targets


def other_payload(world: World) -> None:
    """Another payload than was published, well signed by a stranger."""
    published(world)
    world.cloud.files[content_hash(GOOD)] = signed(b"other", SigningKey.generate())


def endless_file(world: World) -> None:
    """A Channel File that never ends."""
    published(world)
    world.cloud.files[content_hash(GOOD)] = itertools.repeat(ENDLESS)  # type: ignore[assignment]


def unsigned(world: World) -> None:
    """What was published, without its signatures."""
    published(world)
    world.cloud.files[content_hash(GOOD)] = signed(GOOD)


def by_online_keys(world: World) -> None:
    """What was published, signed by keys that the server has."""
    published(world)
    keys = [world.repository.keys[role][0] for role in ("snapshot", "timestamp")]
    world.cloud.files[content_hash(GOOD)] = signed(GOOD, *keys)


def own_along(world: World) -> None:
    """A repository of the attacker's own, sent along with the offer; nothing to be asked for."""
    other = Repository()
    other.publish(target(GOOD, PROCESS.number))
    world.along = other.enclosed(*signed(GOOD, other.keys["targets"][0]))
    world.cloud.metadata = {}


def good_metadata_along(world: World) -> None:
    """What was published, with metadata as they are, and signatures of the server's."""
    published(world)
    keys = [world.repository.keys[role][0] for role in ("snapshot", "timestamp")]
    world.along = world.repository.enclosed(*signed(GOOD, *keys))


ATTACKS: dict[str, tuple[Callable[[World], None], str]] = {
    "no metadata": (none, "METADATA_MISSING"),
    "errors": (broken, "METADATA_MISSING"),
    "own repository": (own, "METADATA_UNSIGNED"),
    "stolen online keys": (online_keys, "METADATA_UNSIGNED"),
    "frozen": (frozen, "METADATA_EXPIRED"),
    "endless metadata": (endless, "METADATA_TOO_LARGE"),
    "not published": (not_published, "TARGET_UNKNOWN"),
    "other payload": (other_payload, "HASH_MISMATCH"),
    "endless file": (endless_file, "FILE_TOO_LARGE"),
    "without signatures": (unsigned, "SIGNATURE_INVALID"),
    "signed by the server": (by_online_keys, "UNKNOWN_KEY"),
    "own repository, sent along": (own_along, "METADATA_MISSING"),
    "signed by the server, sent along": (good_metadata_along, "UNKNOWN_KEY"),
}


@pytest.mark.timeout(240)
def test_a_hostile_server_puts_nothing_in_force_and_hides_nothing(world: World) -> None:
    """Whoever takes over the server could run content on every host, or go unnoticed."""
    cloud, name = world.cloud, content_hash(GOOD)
    for attack, (prepare, reason) in ATTACKS.items():
        prepare(world)
        world.offer()
        told = world.next_told(name)
        assert told == (report_pb2.CONTENT_STATE_UNDELIVERED, [reason]), attack
    _forged_orders(world)
    # The sensor itself: nothing in force, every reason in its log, the count in its status.
    status = world.status()
    assert status["content"]["active"] == []
    assert status["content"]["quarantine"] == []
    assert status["trust"]["version"] == 1
    log = world.log.read_text(encoding="utf-8")
    for attack, (_, reason) in ATTACKS.items():
        assert reason in log, attack
    # Three of them the supervisor refuses.
    until(lambda: world.refused() >= len(ATTACKS) - 3, SECONDS)
    world.along = None
    # The server has confirmed all that it was told; the honest one hears of it nevertheless.
    cloud.stop()
    cloud.stored.clear()
    cloud.heartbeats.clear()
    published(world)
    cloud.files[name] = signed(GOOD, world.repository.keys["targets"][0])
    cloud.start()
    until(lambda: any(one.deliveries_refused for one in cloud.heartbeats), SECONDS)
    assert cloud.heartbeats[-1].last_refusal
    world.offer()
    until(lambda: bool(world.status()["content"]["active"]), patient(90.0))


def _forged_orders(world: World) -> None:
    """An order to withdraw content, and root metadata with a trust record, by strangers."""
    name = content_hash(b"content of others")
    order = sensor_service_pb2.Revocation(content_hash=name, expires_unix=2**40)
    world.cloud.push(Response(revocation=order))
    expected = (report_pb2.CONTENT_STATE_UNDELIVERED, ["SIGNATURE_INVALID"])
    assert world.next_told(name) == expected


@pytest.mark.timeout(240)
def test_keys_are_replaced_over_the_session(world: World) -> None:
    """A stolen key would count until every host is installed anew."""
    repository, cloud = world.repository, world.cloud
    (stolen,) = repository.rotate("targets")
    repository.rotate("root")
    newer = pack(channel_file(2, PROCESS))
    repository.publish(target(newer, PROCESS.number, 2))
    cloud.serve(repository)
    name = content_hash(newer)
    cloud.files[name] = signed(newer, stolen)
    world.offer(newer, 2)
    assert world.next_told(name) == (report_pb2.CONTENT_STATE_UNDELIVERED, ["UNKNOWN_KEY"])
    assert world.status()["trust"]["version"] == 3
    cloud.files[name] = signed(newer, repository.keys["targets"][0])
    world.offer(newer, 2)

    def versions() -> list[int]:
        return [one["version"] for one in world.status()["content"]["active"]]

    until(lambda: versions() == [2], patient(90.0))
    kept_file = world.control.parent / "sensor" / "trust.json"
    kept = json.loads(kept_file.read_bytes())
    assert [one["version"] for one in kept["records"]] == [2, 3]
    assert kept_file.stat().st_mode & 0o777 == 0o600
