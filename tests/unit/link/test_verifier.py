"""TUF's attacks against the link's verifier, with real keys and real metadata of the product's own.

Each test begins with a sensor that has refreshed from an honest cloud, unless it says otherwise.
"""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet

from agent.link.errors import ConfigurationError, FetchRefusedError
from agent.link.verifier import Verifier
from cloud.repository import next_snapshot, next_timestamp
from content.channel_file import content_hash
from tests.process.link_repository import Repository, target
from tests.unit.agent.flow_world import full_disk
from tests.unit.link.verifier_world import NEW, OLD, Sensor, forge, newest


def test_what_was_published_is_a_target_and_nothing_else(
    sensor: Sensor, repository: Repository
) -> None:
    """Content would be fetched that nobody has published, or none at all (arbitrary target)."""
    assert sensor.has(OLD)
    assert not sensor.has(NEW)
    repository.publish(target(NEW), remove=[content_hash(OLD)])
    sensor.refresh()
    assert sensor.has(NEW)
    assert not sensor.has(OLD)


def test_nothing_is_a_target_before_the_first_refresh(
    tmp_path: Path, repository: Repository
) -> None:
    """A sensor that has seen no metadata yet would take whatever it is offered."""
    assert not Sensor(tmp_path, repository).has(OLD)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_metadata_changed_after_signing_are_refused(
    sensor: Sensor, repository: Repository, role: str
) -> None:
    """Whoever holds the server could write its own metadata."""
    repository.publish(target(NEW))
    forge(repository, role, {"version": 90})
    reason, place = sensor.refusal()
    assert reason in {"METADATA_UNSIGNED", "METADATA_MISMATCH"}
    assert place == f"metadata.{role}"
    assert not sensor.has(NEW)
    assert sensor.has(OLD), "what was trusted before was given up"


def test_an_older_timestamp_is_refused_also_after_a_restart(
    sensor: Sensor, repository: Repository
) -> None:
    """A server could go back to the content of yesterday (rollback)."""
    yesterday = dict(repository.metadata)
    repository.publish(target(NEW))
    sensor.refresh()
    repository.metadata = yesterday
    assert sensor.refusal() == ("METADATA_VERSION", "metadata.timestamp")
    sensor.restart()
    assert sensor.refusal() == ("METADATA_VERSION", "metadata.timestamp")


def test_an_older_version_inside_a_newer_timestamp_is_refused(
    sensor: Sensor, repository: Repository
) -> None:
    """Stolen online keys could bring the targets of yesterday back (rollback)."""
    yesterday = repository.targets
    repository.publish(target(NEW), remove=[content_hash(OLD)])
    sensor.refresh()
    repository.targets = yesterday
    repository.freshen()
    assert sensor.refusal() == ("METADATA_VERSION", "metadata.snapshot")
    assert sensor.has(NEW)


def test_a_server_that_stands_still_is_found_out(sensor: Sensor, repository: Repository) -> None:
    """A sensor could be kept from ever hearing of new content, or of lost keys (freeze)."""
    repository.later(days=3, seconds=1)
    assert sensor.refusal() == ("METADATA_EXPIRED", "metadata.timestamp")
    repository.freshen()
    sensor.refresh()


@pytest.mark.parametrize(("role", "days"), [("snapshot", 31), ("targets", 366), ("root", 1096)])
def test_each_role_expires(sensor: Sensor, repository: Repository, role: str, days: int) -> None:
    """Metadata of a role could be replayed for ever."""
    repository.later(days=days)
    snapshot = repository.metadata[newest(repository, "snapshot")]
    if role == "snapshot":
        key = repository.keys["timestamp"][0]
        data = next_timestamp(
            repository.root.signed, repository.timestamp, snapshot, key, repository.now
        )
        repository.metadata[("timestamp", 0)] = repository.put(data)
    else:
        repository.freshen()
    expected = "timestamp" if role == "root" else role
    assert sensor.refusal() == ("METADATA_EXPIRED", f"metadata.{expected}")


def test_nothing_is_verified_twice(
    sensor: Sensor, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look of each host would cost it four times as much; or what is new pass unverified."""
    seen: list[bytes] = []
    verify = TrustedMetadataSet.update_targets

    def noted(metadata: TrustedMetadataSet, data: bytes) -> object:
        seen.append(data)
        return verify(metadata, data)

    monkeypatch.setattr(TrustedMetadataSet, "update_targets", noted)
    sensor.refresh()
    assert seen == []
    repository.publish(target(NEW))
    sensor.refresh()
    assert seen[-1] == repository.metadata[newest(repository, "targets")]
    seen.clear()
    repository.rotate("timestamp")
    repository.freshen()
    sensor.refresh()
    assert seen
    sensor.restart()
    seen.clear()
    sensor.refresh()
    assert seen


def test_an_empty_timestamp_is_none(sensor: Sensor, repository: Repository) -> None:
    """A sensor that has verified nothing yet would take it for what it knows."""
    repository.metadata[("timestamp", 0)] = b""
    assert sensor.refusal() == ("METADATA_INVALID", "metadata.timestamp")
    sensor.restart()
    assert sensor.refusal() == ("METADATA_INVALID", "metadata.timestamp")


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_may_be_wrong_by_a_day(sensor: Sensor, repository: Repository, days: int) -> None:
    """A host whose clock is a day off would get no content, however fresh the metadata are."""
    repository.later(days=1)  # so old a timestamp is renewed (cloud.publish)
    sensor.skew = timedelta(days=days)
    sensor.refresh()


def test_parts_of_different_days_don_t_mix(sensor: Sensor, repository: Repository) -> None:
    """A sensor could be shown a set of metadata that never was (mix and match)."""
    assert repository.snapshot
    assert repository.targets
    before = repository.metadata[("targets", repository.targets.signed.version)]
    repository.publish(target(NEW))
    repository.metadata[("targets", repository.targets.signed.version)] = before
    assert sensor.refusal() == ("METADATA_MISMATCH", "metadata.targets")
    repository.publish(target(NEW))
    number = repository.snapshot.signed.version
    other = next_snapshot(
        repository.root.signed,
        None,
        repository.metadata[newest(repository, "targets")],
        repository.keys["snapshot"][0],
        repository.now + timedelta(days=1),
    )
    other.signed.version = number
    other.sign(repository.keys["snapshot"][0].tuf_signer())
    repository.metadata[("snapshot", number)] = other.to_bytes()
    assert sensor.refusal() == ("METADATA_MISMATCH", "metadata.snapshot")


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets"])
@pytest.mark.parametrize("rubbish", [b"", b"\xff", b"[" * 60_000, b"{}", b'{"signed": 1}'])
def test_rubbish_is_refused(
    sensor: Sensor, repository: Repository, role: str, rubbish: bytes
) -> None:
    """Some bytes of a server would end the link."""
    repository.publish(target(NEW))
    place = (role, 2) if role == "root" else newest(repository, role)
    repository.metadata[place] = rubbish
    if role == "timestamp":
        repository.metadata[("timestamp", 0)] = rubbish
    reason, where = sensor.refusal()
    assert reason in {"METADATA_INVALID", "METADATA_MISMATCH"}
    assert where == f"metadata.{role}"


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_metadata_that_are_missing_are_named(
    sensor: Sensor, repository: Repository, role: str
) -> None:
    """A server that has lost its metadata would look like one without news."""
    repository.publish(target(NEW))
    for place in [place for place in repository.metadata if place[0] == role]:
        del repository.metadata[place]
    assert sensor.refusal() == ("METADATA_MISSING", f"metadata.{role}")


def test_a_full_disk_leaves_what_was_there(sensor: Sensor, repository: Repository) -> None:
    """A refresh would be half stored, or count although the next start forgets it."""
    repository.publish(target(NEW))
    with full_disk():
        assert sensor.refusal() == ("METADATA_STORE", "metadata")
    assert not sensor.has(NEW)
    sensor.restart()
    sensor.refresh()
    assert sensor.has(NEW)


def test_a_damaged_file_is_replaced(sensor: Sensor) -> None:
    """A power cut would keep the link from starting for ever."""
    sensor.store.close()
    (sensor.folder / "metadata.db").write_bytes(os.urandom(4096))
    sensor.start()
    sensor.refresh()
    assert sensor.has(OLD)


def test_root_metadata_of_another_repository_are_refused(
    sensor: Sensor, repository: Repository
) -> None:
    """A host enrolled elsewhere would take this cloud's word, or choke on what it has stored."""
    other = Repository()
    sensor.repository = other
    with pytest.raises(FetchRefusedError):
        asyncio.run(
            Verifier(other.installed, sensor.store, lambda: other.now).refresh(repository.fetch)
        )
    sensor.restart()
    sensor.refresh()
    assert not sensor.has(OLD)
    for rubbish in (b"", b"{}", other.metadata[("timestamp", 0)]):
        with pytest.raises(ConfigurationError, match="ROOT_METADATA"):
            Verifier(rubbish, sensor.store, lambda: other.now)
