"""A signed release is pushed only as it was signed, for the repository as it was then."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Targets

from bulkhead.v1.channel_file_pb2 import SignedChannelFile
from cloud import ceremony, orders, presigned
from cloud.ceremony import Change, proposed
from cloud.errors import CloudError, CloudReason, ContentStateError
from cloud.folder import CloudFolder, create
from cloud.limits import LIMITS
from cloud.presigned import Parts
from cloud.push import HALTED, Candidate, PushRefusedError, read_candidates, store, store_presigned
from cloud.repository import sign_root, trusted_keys
from cloud.revoke import NANOSECONDS, told_order
from cloud.signing import Signer, SigningKey, envelope
from cloud.store import audit, metadata, releases
from cloud.store.database import Database
from content.channel_file import content_hash
from tests.process.cloud_files import TYPES, channel_file, write

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * NANOSECONDS
LATER_NS = NOW_NS + 60 * NANOSECONDS


class Cloud:
    """A cloud as `init` makes it, an operator's desk beside it, and somebody without a key."""

    def __init__(self, place: Path) -> None:
        self.folder = CloudFolder(place / "cloud")
        self.place = place
        create(self.folder.path, place / "operator", NOW)
        self.root_key = SigningKey.from_file(place / "operator" / "root.key")
        self.key = SigningKey.from_file(place / "operator" / "signing.key")
        self.database = self.folder.open()

    def candidate(self, version: int) -> Candidate:
        """A sound Channel File."""
        file = write(self.place / f"{version}.channel", channel_file(version))
        (candidate,) = read_candidates([file], TYPES, unsafe=False)
        return candidate

    def sign(self, version: int, *keys: Signer, at: int = NOW_NS) -> Parts:
        """At the desk, which only reads the folder."""
        with closing(self.folder.look()) as database, database.reading() as connection:
            return presigned.sign(connection, self.candidate(version), keys or (self.key,), at)

    def push(self, data: bytes, now_ns: int = LATER_NS) -> bytes:
        """As the console does; the hash."""
        release = presigned.read(data, self.folder.trusted_keys(), now_ns)
        file = self.place / "uploaded.channel"
        file.write_bytes(release.signed.SerializeToString())
        (candidate,) = read_candidates([file], TYPES, unsafe=False)
        moments = release.signed_ns, now_ns
        return store_presigned(self.database, candidate, release.keys, *moments).content_hash

    def push_at_once(self, version: int) -> bytes:
        """As the command line does."""
        candidates = [self.candidate(version)]
        (pushed,) = store(self.database, candidates, [self.key], NOW_NS, unsafe=False)
        return pushed.content_hash

    def change_keys(self, change: Change, *signers: SigningKey) -> None:
        """The whole ceremony."""
        with self.database.writing() as connection:
            root = metadata.newest_root(connection)
            assert root is not None
            draft = proposed(root, change, NOW)
            sign_root(draft, self.root_key)
            ceremony.publish(connection, draft, signers, NOW_NS)

    def targets(self) -> bytes:
        """The newest targets metadata, as signed."""
        with self.database.reading() as connection:
            return metadata.newest(connection, "targets") or b""

    def refused(self, data: bytes, reason: CloudReason, now_ns: int = LATER_NS) -> bool:
        """Whether it is, for that reason, and everything is as before."""
        before = self.stored()
        with pytest.raises(CloudError) as caught:
            self.push(data, now_ns)
        assert self.stored() == before
        return caught.value.reason == reason

    def stored(self) -> tuple[object, ...]:
        """All that a push stores."""
        with self.database.reading() as connection:
            return (
                releases.all_releases(connection),
                metadata.everything(connection),
                list(audit.entries(connection)),
            )


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A new one."""
    made = Cloud(tmp_path)
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One for all tests that store nothing in it."""
    made = Cloud(tmp_path_factory.mktemp("cloud"))
    yield made
    made.database.close()


def changed(parts: Parts, **members: object) -> bytes:
    """A signed release with other members."""
    return json.dumps({**json.loads(parts.written()), **members}).encode("ascii")


def text(message: bytes) -> str:
    """As the file has it."""
    return base64.b64encode(message).decode("ascii")


def test_what_was_signed_is_stored_with_all_its_signatures(cloud: Cloud) -> None:
    """Agents would refuse the content, or the order to give it up, or find no such target."""
    cloud.push_at_once(1)
    parts = cloud.sign(2)
    name = cloud.push(parts.written())
    with cloud.database.reading() as connection:
        order = releases.halt_order(connection, name)
        root = metadata.newest_root(connection)
        data = releases.signed_bytes(connection, name)
    assert order is not None
    assert root is not None
    (trusted,) = trusted_keys(root.signed)
    assert trusted.signed_channel_file(SignedChannelFile.FromString(data or b""))
    assert trusted.signed_order(told_order(order), order.signatures[0])
    assert (order.to_version, order.reason) == (1, HALTED)
    stored = Metadata[Targets].from_bytes(cloud.targets())
    root.signed.verify_delegate("targets", stored.signed_bytes, stored.signatures)
    assert stored.signed == parts.targets.signed
    assert (stored.signed.version, len(stored.signed.targets)) == (3, 2)


def test_what_the_console_stores_is_what_a_push_would_have_stored(cloud: Cloud) -> None:
    """Content that came this way could be halted or found less well than other content."""
    release = cloud.sign(1).written()
    place = cloud.place / "other"
    place.mkdir()
    with closing(Database.create(place / "cloud.sqlite")) as other:
        with cloud.database.reading() as connection:
            both = [
                (role, version, data)
                for (role, version), data in metadata.everything(connection).items()
            ]
        with other.writing() as connection:
            for _, _, data in both:
                metadata.add(connection, Metadata.from_bytes(data))
        store(other, [cloud.candidate(1)], [cloud.key], NOW_NS, unsafe=False)
        name = cloud.push(release)
        with other.reading() as here, cloud.database.reading() as there:
            for read in (releases.halt_order, releases.signed_bytes):
                assert read(here, name) == read(there, name)
            assert metadata.newest(here, "targets") == metadata.newest(there, "targets")


def test_signing_writes_nothing_in_the_cloud_s_folder(cloud: Cloud) -> None:
    """The desk would need rights there that it must not have."""

    def files() -> dict[str, tuple[int, bytes]]:
        found = (one for one in sorted(cloud.folder.path.rglob("*")) if one.is_file())
        return {str(one): (one.stat().st_mtime_ns, one.read_bytes()) for one in found}

    cloud.push_at_once(1)
    for others in (True, False):
        if not others:
            cloud.database.close()
        before = {name: one for name, one in files().items() if not name.endswith("-shm")}
        assert any(name.endswith("-wal") for name in before) is others
        parts = cloud.sign(2)
        assert len(parts.targets.signed.targets) == 2
        after = {name: one for name, one in files().items() if not name.endswith("-shm")}
        assert after == before


def test_what_could_not_be_pushed_is_not_signed(cloud: Cloud) -> None:
    """It would be refused where nobody can sign it again."""
    cloud.push_at_once(3)
    with pytest.raises(PushRefusedError, match="VERSION_NOT_NEWER"):
        cloud.sign(2)
    with pytest.raises(CloudError) as caught:
        cloud.sign(4, SigningKey.generate())
    assert caught.value.reason == CloudReason.KEY_NOT_TRUSTED


@pytest.mark.parametrize("case", ["pushed", "pushed itself", "halted"])
def test_it_counts_only_while_the_repository_is_as_it_was(cloud: Cloud, case: str) -> None:
    """Targets would come back that were withdrawn, or vanish that were pushed meanwhile."""
    first = cloud.push_at_once(1)
    release = cloud.sign(3).written()
    if case == "pushed":
        cloud.push(cloud.sign(2).written())
    elif case == "pushed itself":
        cloud.push(release)
    else:
        orders.halt(cloud.database, first, "ada", "why not")
    assert cloud.refused(release, CloudReason.RELEASE_OUTDATED)


def test_it_counts_only_while_the_keys_are_what_they_were(cloud: Cloud) -> None:
    """A stolen key that was replaced could still push what it has signed before."""
    release, new = cloud.sign(1).written(), SigningKey.generate()
    more = Change("targets", add=(new.trusted(),), threshold=2)
    cloud.change_keys(more, cloud.key, new)
    assert cloud.refused(release, CloudReason.RELEASE_OUTDATED)
    both = cloud.sign(1, cloud.key, new).written()
    cloud.change_keys(Change("targets", remove=(cloud.key.key_id,), threshold=1), new)
    assert cloud.refused(release, CloudReason.SIGNATURE_INVALID)
    assert Metadata.from_bytes(cloud.targets()).signed.version == 2
    cloud.push(both)  # a key that counts has signed it, for these targets
    assert list(Metadata.from_bytes(cloud.targets()).signatures) == [new.key_id]


def test_as_many_keys_sign_as_the_threshold_asks_for(cloud: Cloud) -> None:
    """One of two holders could publish alone."""
    new = SigningKey.generate()
    cloud.change_keys(Change("targets", add=(new.trusted(),), threshold=2), cloud.key, new)
    with pytest.raises(CloudError) as caught:
        cloud.sign(1)
    assert caught.value.reason == CloudReason.KEY_THRESHOLD
    parts = cloud.sign(1, cloud.key, new)
    for part in (parts.signed, parts.halt):
        assert [one.key_id for one in part.signatures] == [cloud.key.key_id, new.key_id]
    without = cloud.sign(1, cloud.key, new)
    del without.signed.signatures[1]
    assert cloud.refused(without.written(), CloudReason.KEY_THRESHOLD)
    without = cloud.sign(1, cloud.key, new)
    del without.halt.signatures[0]
    assert cloud.refused(without.written(), CloudReason.KEY_THRESHOLD)
    without = cloud.sign(1, cloud.key, new)
    del without.targets.signatures[new.key_id]
    assert cloud.refused(without.written(), CloudReason.KEY_THRESHOLD)
    name = cloud.push(parts.written())
    with cloud.database.reading() as connection:
        order = releases.halt_order(connection, name)
    assert order is not None
    assert len(order.signatures) == 2


@pytest.mark.parametrize("seconds", [-LIMITS.release_ahead_seconds - 1, LIMITS.release_seconds + 1])
def test_it_counts_for_a_day(cloud: Cloud, seconds: int) -> None:
    """Its halt order could have expired; whoever finds an old one could push it."""
    release = cloud.sign(1).written()
    then = NOW_NS + seconds * NANOSECONDS
    assert cloud.refused(release, CloudReason.RELEASE_OUTDATED, then)
    back = NANOSECONDS if seconds > 0 else -NANOSECONDS
    cloud.push(release, then - back)


def test_a_key_that_is_not_trusted_signs_nothing(cloud: Cloud) -> None:
    """Anybody could make one."""
    stranger = SigningKey.generate()
    good = cloud.sign(1)
    payload = good.signed.payload
    theirs = envelope(payload, [stranger]).SerializeToString()
    assert cloud.refused(changed(good, signed=text(theirs)), CloudReason.SIGNATURE_INVALID)
    targets = Metadata(good.targets.signed)
    targets.sign(stranger.tuf_signer())
    forged = changed(good, targets=text(targets.to_bytes()))
    assert cloud.refused(forged, CloudReason.SIGNATURE_INVALID)
    cloud.push(good.written())


def _payload(parts: Parts) -> None:
    parts.signed.payload += b"!"


def _order(parts: Parts) -> None:
    parts.halt.to_version += 1


def _lifetime(parts: Parts) -> None:
    parts.halt.expires_unix += 1


def _issued(parts: Parts) -> None:
    parts.halt.issued_unix += 1


def _hash(parts: Parts) -> None:
    parts.halt.content_hash = b"short"


def _version(parts: Parts) -> None:
    parts.targets.signed.version += 1


def _target(parts: Parts) -> None:
    parts.targets.signed.targets.clear()


def _hexadecimal(parts: Parts) -> None:
    for one in parts.targets.signatures.values():
        one.signature = "no hexadecimal"


CHANGES = [_payload, _order, _lifetime, _issued, _hash, _version, _target, _hexadecimal]


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_of_it_can_be_changed(unchanged: Cloud, change: Callable[[Parts], None]) -> None:
    """Whoever carries it could push something else, or keep it from being halted."""
    parts = unchanged.sign(1)
    change(parts)
    assert unchanged.refused(parts.written(), CloudReason.SIGNATURE_INVALID)


def test_parts_of_two_releases_make_none(unchanged: Cloud) -> None:
    """A halt would be of something else, or a target of what nobody meant to push now."""
    one, two = unchanged.sign(1), unchanged.sign(2)
    for parts in (
        Parts(one.signed, two.halt, one.targets),
        Parts(one.signed, one.halt, two.targets),
        Parts(two.signed, one.halt, one.targets),
        Parts(one.signed, one.halt, unchanged.sign(1, at=NOW_NS + NANOSECONDS).targets),
    ):
        assert unchanged.refused(parts.written(), CloudReason.RELEASE_OUTDATED)


def test_it_signs_nothing_else(unchanged: Cloud) -> None:
    """Whoever has one release could push any."""
    parts = unchanged.sign(1)
    (key,) = presigned.read(parts.written(), unchanged.folder.trusted_keys(), NOW_NS).keys
    assert key.sign_channel_file(parts.signed.payload) == parts.signed.signatures[0]
    for attempt in (
        lambda: key.sign_channel_file(parts.signed.payload + b"!"),
        lambda: key.sign(content_hash(parts.signed.payload)),
        lambda: key.sign_metadata(b"{}"),
    ):
        with pytest.raises(ContentStateError) as caught:
            attempt()
        assert caught.value.reason == CloudReason.RELEASE_OUTDATED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b"[" * 100_000,
        b"\xff",
        b'{"format": "bulkhead signed release 2"}',
        {"format": "bulkhead signed release 1"},
        {"more": 1},
        {"signed": 1},
        {"signed": "not base64!"},
        {"signed": text(b"\xff")},
        {"signed": ""},
        {"halt": text(b"\xff")},
        {"halt": ""},
        {"targets": text(b"\xff")},
        {"targets": text(b"{}")},
        {"targets": text(b"[" * 100_000)},
    ],
)
def test_what_is_no_release_is_refused(unchanged: Cloud, data: bytes | dict[str, object]) -> None:
    """An upload would be an error of ours."""
    one = changed(unchanged.sign(1), **data) if isinstance(data, dict) else data
    assert unchanged.refused(one, CloudReason.SIGNATURE_INVALID)
