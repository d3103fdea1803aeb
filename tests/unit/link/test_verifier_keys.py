"""Stolen, replaced, doubled and missing keys: what they are good for against a sensor."""

import pytest
from tuf.api.metadata import Metadata, Root

from agent.link.verifier import TRUST_SIGNATURES
from cloud.errors import KeyFileError
from cloud.repository import next_root, sign_root
from cloud.signing import SigningKey
from tests.process.link_repository import Repository, target
from tests.unit.link.verifier_world import NEW, OLD, Sensor, copied_targets


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_one_stolen_key_is_no_other(sensor: Sensor, repository: Repository, role: str) -> None:
    """The online keys could sign what hosts run, or a stranger's key anything."""
    signed = {"snapshot": "timestamp", "timestamp": "targets", "targets": "snapshot"}
    repository.keys[role] = repository.keys[signed[role]]
    repository.root.signed.roles[role].keyids = [repository.keys[role][0].key_id]  # not published
    repository.publish(target(NEW))
    assert sensor.refusal() == ("METADATA_UNSIGNED", f"metadata.{role}")


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
    forged = copied_targets(repository)
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
    document = copied_targets(repository)
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
    document = copied_targets(repository)
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
