"""TUF's attacks against the link's verifier, with real keys and real metadata of the product's own.

Each test begins with a sensor that has refreshed from an honest cloud, unless it says otherwise.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root, Targets

from agent.link.errors import ConfigurationError, FetchRefusedError
from agent.link.metadata_store import MetadataStore
from agent.link.verifier import TRUST_SIGNATURES, Verifier
from cloud.errors import KeyFileError
from cloud.repository import next_root, next_snapshot, next_timestamp, sign_root
from cloud.signing import SigningKey
from content.channel_file import content_hash
from tests.process.link_repository import Repository, target
from tests.unit.agent.flow_world import full_disk

OLD, NEW = b"content of yesterday", b"content of today"


class Sensor:
    """A verifier with its store, and a clock that runs with the repository's."""

    def __init__(self, folder: Path, repository: Repository) -> None:
        self.folder = folder
        self.repository = repository
        self.skew = timedelta()
        self.start()

    def start(self) -> None:
        """A link starts, with what the one before it has stored."""
        self.store = MetadataStore(self.folder)
        self.verifier = Verifier(
            self.repository.installed, self.store, lambda: self.repository.now + self.skew
        )

    def restart(self) -> None:
        """The link dies and another one starts."""
        self.store.close()
        self.start()

    def refresh(self) -> None:
        """A refresh from the repository's metadata as they are."""
        asyncio.run(self.verifier.refresh(self.repository.fetch))

    def refusal(self) -> tuple[str, str]:
        """A refresh that has to fail: its reason and place."""
        with pytest.raises(FetchRefusedError) as refused:
            self.refresh()
        return str(refused.value.reason), refused.value.place

    def has(self, payload: bytes) -> bool:
        """Whether a payload would be fetched."""
        with contextlib.suppress(FetchRefusedError):
            self.verifier.target(content_hash(payload))
            return True
        return False


@pytest.fixture
def repository() -> Repository:
    """An honest repository with one Channel File."""
    made = Repository()
    made.publish(target(OLD))
    return made


@pytest.fixture
def sensor(tmp_path: Path, repository: Repository) -> Iterator[Sensor]:
    """A sensor that has refreshed once."""
    made = Sensor(tmp_path, repository)
    made.refresh()
    yield made
    made.store.close()


def newest(repository: Repository, role: str) -> tuple[str, int]:
    """Where the newest metadata of a role are."""
    return role, max(version for name, version in repository.metadata if name == role)


def forge(repository: Repository, role: str, change: dict[str, Any]) -> None:
    """Change a role's newest metadata after they were signed."""
    place = newest(repository, role)
    document = json.loads(repository.metadata[place])
    document["signed"].update(change)
    data = json.dumps(document).encode()
    repository.metadata[place] = data
    if role == "timestamp":
        repository.metadata[("timestamp", 0)] = data


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


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_one_stolen_key_is_no_other(sensor: Sensor, repository: Repository, role: str) -> None:
    """The online keys could sign what hosts run, or a stranger's key anything."""
    signed = {"snapshot": "timestamp", "timestamp": "targets", "targets": "snapshot"}
    repository.keys[role] = repository.keys[signed[role]]
    repository.root.signed.roles[role].keyids = [repository.keys[role][0].key_id]  # not published
    repository.publish(target(NEW))
    assert sensor.refusal() == ("METADATA_UNSIGNED", f"metadata.{role}")


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


def test_a_fast_forward_is_recovered_from_by_new_keys(
    sensor: Sensor, repository: Repository
) -> None:
    """Stolen online keys could set versions so high that no honest one is newer, for good."""
    assert repository.timestamp
    assert repository.snapshot
    honest = repository.timestamp, repository.snapshot
    repository.timestamp.signed.version = repository.snapshot.signed.version = 2**31
    repository.freshen()
    sensor.refresh()
    repository.timestamp, repository.snapshot = honest
    repository.timestamp.signed.version = repository.snapshot.signed.version = 5
    repository.freshen()
    assert sensor.refusal() == ("METADATA_VERSION", "metadata.timestamp")
    repository.rotate("timestamp")
    repository.rotate("snapshot")
    repository.publish(target(NEW))
    sensor.refresh()
    assert sensor.has(NEW)


def test_a_stolen_targets_key_is_revoked_by_the_next_root(
    sensor: Sensor, repository: Repository
) -> None:
    """Whoever has stolen the key once could sign content until sensors are installed anew."""
    (stolen,) = repository.rotate("targets")
    honest, repository.keys["targets"] = repository.keys["targets"], [stolen]
    with pytest.raises(KeyFileError, match="as many keys"):
        repository.publish(target(NEW))
    forged = Metadata(Targets.from_dict(repository.targets.signed.to_dict()))  # type: ignore[union-attr]
    forged.signed.version += 1
    forged.signed.targets[target(NEW).name] = target(NEW).file()
    forged.sign(stolen.tuf_signer())
    repository.put(forged)
    repository.targets = forged
    repository.freshen()
    assert sensor.refusal() == ("METADATA_UNSIGNED", "metadata.targets")
    assert not sensor.has(NEW)
    repository.keys["targets"] = honest
    repository.publish(target(NEW))
    sensor.refresh()
    assert sensor.has(NEW)


@pytest.mark.parametrize("stolen", [1, 2])
def test_keys_below_the_threshold_are_not_enough(
    sensor: Sensor, repository: Repository, stolen: int
) -> None:
    """One of two operators could publish alone; and at the threshold nothing can help."""
    repository.rotate("targets", threshold=2, keys=3)
    repository.publish(target(OLD))
    sensor.refresh()
    document = Metadata(Targets.from_dict(repository.targets.signed.to_dict()))  # type: ignore[union-attr]
    document.signed.version += 1
    document.signed.targets[target(NEW).name] = target(NEW).file()
    for key in repository.keys["targets"][:stolen]:
        document.sign(key.tuf_signer(), append=True)
    repository.put(document)
    repository.targets = document
    repository.freshen()
    if stolen < 2:
        assert sensor.refusal() == ("METADATA_UNSIGNED", "metadata.targets")
    else:
        sensor.refresh()
    assert sensor.has(NEW) is (stolen == 2)


def test_a_root_needs_the_keys_of_before_and_its_own(
    sensor: Sensor, repository: Repository
) -> None:
    """A stranger could make itself the root of trust, or a new root be nobody's."""
    stranger = SigningKey.generate()
    honest = Metadata[Root].from_bytes(repository.root.to_bytes())
    for signers in ([stranger], [repository.keys["root"][0]], []):
        after = next_root(honest, repository.now)
        after.signed.revoke_key(repository.keys["root"][0].key_id, "root")
        after.signed.add_key(stranger.trusted().tuf_key(), "root")
        for key in signers:
            sign_root(after, key)
        repository.put(after)
        assert sensor.refusal() == ("METADATA_UNSIGNED", "metadata.root")
    assert sensor.verifier.root_version == 1
    repository.root = honest
    repository.rotate("root")
    sensor.refresh()
    assert sensor.verifier.root_version == 2


def test_root_versions_are_followed_one_by_one(sensor: Sensor, repository: Repository) -> None:
    """A sensor that was off for years could skip the root that revokes a key, or never catch up."""
    for _ in range(5):
        repository.rotate("root")
    repository.publish(target(NEW))
    sensor.refresh()
    assert sensor.verifier.root_version == 6
    sensor.restart()
    assert sensor.verifier.root_version == 6
    assert [one["version"] for one in sensor.verifier.records(0)] == [2, 3, 4, 5, 6]
    skipped = next_root(repository.root, repository.now)
    skipped.signed.version += 1
    sign_root(skipped, repository.keys["root"][0])
    repository.metadata[("root", 7)] = skipped.to_bytes()
    assert sensor.refusal() == ("METADATA_VERSION", "metadata.root")


def test_one_key_under_two_names_counts_once(sensor: Sensor, repository: Repository) -> None:
    """A threshold of two could be met by one key."""
    repository.root = next_root(repository.root, repository.now)
    twin = repository.keys["targets"][0].trusted().tuf_key()
    twin.keyid = "0" * 64
    repository.root.signed.add_key(twin, "targets")
    repository.root.signed.roles["targets"].threshold = 2
    repository.root.sign(repository.keys["root"][0].tuf_signer())
    repository.put(repository.root)
    assert sensor.refusal() == ("METADATA_KEYS", "metadata.root.roles.targets")
    assert sensor.verifier.root_version == 1


def test_signatures_by_strangers_and_twice_by_one_key_change_nothing(
    sensor: Sensor, repository: Repository
) -> None:
    """Signatures too many could pass for missing ones, or stop a sensor."""
    repository.rotate("targets", threshold=2, keys=2)
    document = Metadata(Targets.from_dict(repository.targets.signed.to_dict()))  # type: ignore[union-attr]
    document.signed.version += 1
    signer = repository.keys["targets"][0]
    for key in (signer, signer, SigningKey.generate(), SigningKey.generate()):
        document.sign(key.tuf_signer(), append=True)
    repository.put(document)
    repository.targets = document
    repository.freshen()
    assert sensor.refusal() == ("METADATA_UNSIGNED", "metadata.targets")
    document.sign(repository.keys["targets"][1].tuf_signer(), append=True)
    repository.put(document)
    repository.freshen()
    sensor.refresh()


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


def test_trust_records_travel_with_their_signatures(sensor: Sensor, repository: Repository) -> None:
    """The supervisor would not hear of new keys, or could not verify them."""
    repository.rotate("targets", threshold=2, keys=2)
    repository.publish()
    sensor.refresh()
    (record,) = sensor.verifier.records(1)
    publics = sorted(key.trusted().raw.hex() for key in repository.keys["targets"])
    assert (record["version"], record["targets_keys"]) == (2, publics)
    assert (record["root_threshold"], record["targets_threshold"]) == (1, 2)
    over_record = repository.root.unrecognized_fields[TRUST_SIGNATURES]
    assert record["signatures"] == [list(one) for one in over_record.items()]
    assert list(sensor.verifier.records(2)) == []
