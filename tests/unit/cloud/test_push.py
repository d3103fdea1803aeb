"""What an operator's push reads, signs and stores."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bulkhead.v1.channel_file_pb2 import SignedChannelFile
from bulkhead.v1.sensor_service_pb2 import Revocation
from cloud.errors import CloudReason, ContentStateError, StoreError
from cloud.push import PushRefusedError, read_candidates, store
from cloud.revoke import Why, find, order_of, revoke
from cloud.signing import SigningKey
from cloud.store import releases
from cloud.store.database import Database
from content.problems import ContentError
from content.signing_domains import RollbackOrder
from tests.process.cloud_files import IPC, PROCESS, TYPES, channel_file, july_19, write

NOW_NS = 1_700_000_000_000_000_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    made = Database.create(tmp_path / "cloud.sqlite")
    yield made
    made.close()


@pytest.fixture
def key() -> SigningKey:
    """An operator's key."""
    return SigningKey.generate()


def push(database: Database, key: SigningKey, *files: Path, unsafe: bool = False) -> list[int]:
    """Push files; their push numbers."""
    candidates = read_candidates(files, TYPES, unsafe=unsafe)
    return [one.push for one in store(database, candidates, [key], NOW_NS, unsafe=unsafe)]


def test_a_stored_release_is_signed_and_complete(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """Agents would fetch something else than what was validated and signed."""
    file = write(tmp_path / "a.channel", channel_file(1))
    push(database, key, file)
    with database.reading() as connection:
        (release,) = releases.all_releases(connection)
        signed = releases.signed_bytes(connection, release.content_hash)
    assert signed is not None
    envelope = SignedChannelFile.FromString(signed)
    assert envelope.payload == SignedChannelFile.FromString(file.read_bytes()).payload
    assert key.trusted().signed_channel_file(envelope)
    assert release.size_bytes == len(signed)


def test_a_push_says_what_is_costly_and_stores_it(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """An operator would learn from the fleet what a Channel File costs."""
    path = write(tmp_path / "a.channel", channel_file(1, PROCESS, "sh"))
    (candidate,) = read_candidates([path], TYPES, unsafe=False)
    assert [one.reason for one in candidate.warnings] == ["COSTLY_TO_EVALUATE"]
    (pushed,) = store(database, [candidate], [key], NOW_NS, unsafe=False)
    assert pushed.warnings == candidate.warnings
    (unsafe,) = read_candidates([path], TYPES, unsafe=True)
    assert not unsafe.warnings


def test_files_of_one_push_are_stored_together_or_not_at_all(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """A push that is refused half-way would leave half of it with the fleet."""
    push(database, key, write(tmp_path / "5.channel", channel_file(5)))
    good = write(tmp_path / "good.channel", channel_file(1, PROCESS))
    old = write(tmp_path / "old.channel", channel_file(4))
    with pytest.raises(PushRefusedError, match="VERSION_NOT_NEWER"):
        push(database, key, good, old)
    with database.reading() as connection:
        assert len(releases.all_releases(connection)) == 1


def test_versions_of_one_push_may_come_in_any_order(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """The order of arguments would decide whether a push is refused."""
    files = [write(tmp_path / f"{n}.channel", channel_file(n)) for n in (3, 1, 2)]
    assert push(database, key, *files) == [1, 2, 3]


def test_an_unsafe_version_does_not_stand_in_the_way(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """A test with a high version would stop all releases that follow."""
    push(database, key, write(tmp_path / "bad.channel", july_19(99)), unsafe=True)
    assert push(database, key, write(tmp_path / "good.channel", channel_file(1))) == [2]


def test_unsafe_pushes_anything_that_can_be_read(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """A sensor's refusal of damaged bytes could not be tried."""
    noise = tmp_path / "noise.channel"
    noise.write_bytes(b"\xff" * 100)
    push(database, key, noise, unsafe=True)
    with database.reading() as connection:
        (release,) = releases.all_releases(connection)
    assert (release.template_type, release.version, release.unsafe) == (0, 0, True)


def test_any_flipped_high_bit_is_found_but_for_the_text_of_samples(tmp_path: Path) -> None:
    """A damaged file would pass the operator's desk."""
    data = write(tmp_path / "a.channel", channel_file(1)).read_bytes()
    file = tmp_path / "flipped.channel"
    passed = set()
    for place in range(len(data)):
        file.write_bytes(data[:place] + bytes([data[place] ^ 0x80]) + data[place + 1 :])
        try:
            read_candidates([file], TYPES, unsafe=False)
        except PushRefusedError:
            continue
        passed.add(place)
    samples = (b"an intruder came", b"nobody came")
    inside = {data.index(text) + offset for text in samples for offset in range(len(text))}
    assert passed < inside


def test_a_revocation_names_its_release_by_type_or_hash(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """An operator in a hurry would withdraw the wrong content."""
    files = [write(tmp_path / f"{n}.channel", channel_file(n)) for n in (1, 2)]
    push(database, key, *files)
    with database.reading() as connection:
        known = releases.all_releases(connection)
    newest = max(known, key=lambda one: one.version)
    for target in (
        "ipc",
        str(IPC.number),
        newest.content_hash.hex(),
        newest.content_hash.hex()[:8],
    ):
        assert find(known, target, TYPES) == newest
    forced = replace(newest, version=9, unsafe=True, content_hash=b"9" * 32)
    assert find([*known, forced], "ipc", TYPES) == newest
    revoked = [replace(one, revoked=one is newest) for one in known]
    assert find(revoked, "ipc", TYPES).version == 1
    with pytest.raises(ContentStateError) as refused:
        find(known, newest.content_hash.hex()[:7], TYPES)
    assert refused.value.reason is CloudReason.CONTENT_UNKNOWN
    twins = [replace(one, content_hash=b"\x01" * 8 + bytes([n])) for n, one in enumerate(known)]
    with pytest.raises(ContentStateError) as refused:
        find(twins, "01" * 8, TYPES)
    assert refused.value.reason is CloudReason.CONTENT_AMBIGUOUS


def test_a_revocation_is_signed_and_final(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """A cloud alone could withdraw protection, or revoked content could come back."""
    file = write(tmp_path / "a.channel", channel_file(1))
    push(database, key, file)
    with database.reading() as connection:
        (release,) = releases.all_releases(connection)
    assert revoke(database, release, [key], Why("because"), NOW_NS)
    assert not revoke(database, release, [key], Why("twice"), NOW_NS)
    with database.reading() as connection:
        order = releases.revocations(connection)[release.content_hash]
    assert isinstance(order, Revocation)
    assert order.reason == "twice", "the order was not renewed"
    told = order_of(release, 0, "twice", NOW_NS)
    assert key.trusted().signed_order(told, order.signatures[0])
    with pytest.raises(ContentStateError) as refused:
        push(database, key, file)
    assert refused.value.reason is CloudReason.CONTENT_REVOKED


def test_a_signature_for_one_purpose_is_none_for_another() -> None:
    """A signed revocation could pass for a signed Channel File, or the other way round."""
    key = SigningKey.generate()
    order = RollbackOrder(b"h" * 32, 1, 2, 1, "", 3, 4, "because")
    signature = key.sign_order(order)
    trusted = key.trusted()
    assert trusted.signed_order(order, signature)
    assert not trusted.signed_order(replace(order, from_version=3), signature)
    forged = SignedChannelFile(payload=order.signed_bytes(), signatures=[signature])
    assert not trusted.signed_channel_file(forged)
    assert not SigningKey.generate().trusted().signed_order(order, signature)
    assert repr(key) == f"SigningKey({key.key_id})"


def test_a_database_that_was_not_made_is_not_made_by_opening_it(tmp_path: Path) -> None:
    """A typing error would start an empty fleet."""
    with pytest.raises(StoreError) as refused:
        Database.open(tmp_path / "absent.sqlite")
    assert refused.value.reason is CloudReason.DATABASE_MISSING
    assert list(tmp_path.iterdir()) == []


def test_refusals_carry_every_file(tmp_path: Path) -> None:
    """An author would repair one file after the other."""
    files = [write(tmp_path / f"{n}.channel", july_19(n)) for n in (1, 2)]
    with pytest.raises(PushRefusedError) as refused:
        read_candidates(files, TYPES, unsafe=False)
    assert [one.file for one in refused.value.files] == files
    assert not isinstance(refused.value, ContentError)
