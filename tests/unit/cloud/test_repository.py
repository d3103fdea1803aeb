"""The repository in the store: what is signed when, by whom, and how keys are replaced."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root, Targets, Timestamp

from bulkhead.v1.channel_file_pb2 import SignedChannelFile
from cloud import ceremony, orders
from cloud.ceremony import Change, proposed
from cloud.errors import KeyFileError
from cloud.folder import CloudFolder, create
from cloud.limits import LIMITS
from cloud.publish import publish
from cloud.push import HALTED, read_candidates, store
from cloud.repository import DEVELOPMENT, sign_root
from cloud.revoke import Why, revoke, told_order
from cloud.signing import SigningKey
from cloud.store import audit, metadata, releases
from cloud.store.database import Database
from tests.process.cloud_files import TYPES, channel_file, write

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9


class Cloud:
    """A cloud as `init` makes it, its store, and the operator's keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = CloudFolder(folder / "cloud")
        self.place = folder
        operator = folder / "operator"
        create(self.folder.path, operator, NOW)
        self.root_key = SigningKey.from_file(operator / "root.key")
        self.key = SigningKey.from_file(operator / "signing.key")
        self.online = self.folder.online_keys()
        self.database = Database.open(self.folder.database)

    def push(self, version: int, *keys: SigningKey, unsafe: bool = False) -> bytes:
        """Push a Channel File; its hash."""
        file = write(self.place / f"{version}.channel", channel_file(version))
        candidates = read_candidates([file], TYPES, unsafe=unsafe)
        signers = keys or (self.key,)
        (pushed,) = store(self.database, candidates, signers, NOW_NS, unsafe=unsafe)
        return pushed.content_hash

    def version(self, role: str) -> int:
        """The newest version of a role's metadata."""
        with self.database.reading() as connection:
            data = metadata.newest(connection, role)
        return 0 if data is None else int(Metadata.from_bytes(data).signed.version)

    def targets(self) -> Metadata[Targets]:
        """The newest targets metadata."""
        with self.database.reading() as connection:
            return Metadata[Targets].from_bytes(metadata.newest(connection, "targets") or b"")

    def root(self) -> Metadata[Root]:
        """The root metadata in force."""
        with self.database.reading() as connection:
            found = metadata.newest_root(connection)
        assert found is not None
        return found

    def envelope(self, content_hash: bytes) -> SignedChannelFile:
        """A release as agents fetch it."""
        with self.database.reading() as connection:
            signed = releases.signed_bytes(connection, content_hash)
        return SignedChannelFile.FromString(signed or b"")

    def audited(self) -> list[tuple[str, str]]:
        """Action and subject of each entry of the audit log."""
        with self.database.reading() as connection:
            return [(one.action, one.subject) for one in audit.entries(connection)]

    def replace_targets_key(self, new: SigningKey, *signers: SigningKey) -> ceremony.Published:
        """The whole ceremony for a stolen targets key."""
        change = Change("targets", (new.trusted(),), (self.key.key_id[:12],))
        draft = proposed(self.root(), change, NOW)
        sign_root(draft, self.root_key)
        with self.database.writing() as connection:
            return ceremony.publish(connection, draft, signers, NOW_NS)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A new cloud."""
    made = Cloud(tmp_path)
    with closing(made.database):
        yield made


def test_what_is_pushed_is_a_target_until_it_is_revoked(cloud: Cloud) -> None:
    """Sensors would not take what was pushed, or take what was withdrawn."""
    name = cloud.push(1)
    (target,) = cloud.targets().signed.targets.values()
    assert target.path == f"{name.hex()}.channel"
    assert target.hashes == {"sha256": name.hex()}
    assert target.length == len(cloud.envelope(name).payload)
    with cloud.database.reading() as connection:
        (release,) = releases.all_releases(connection)
    revoke(cloud.database, release, [cloud.key], Why("because"), NOW_NS)
    assert cloud.targets().signed.targets == {}


def test_a_push_by_a_stranger_is_stored_nowhere(cloud: Cloud) -> None:
    """One wrong key would make all metadata invalid, or its content a target."""
    stranger = SigningKey.generate()
    with pytest.raises(KeyFileError, match="as many keys"):
        cloud.push(1, stranger)
    assert cloud.version("targets") == 1
    cloud.push(1, stranger, unsafe=True)
    assert cloud.version("targets") == 1, "a sensor could not be shown to refuse it alone"


def test_the_serving_process_signs_what_is_new_or_grows_old(cloud: Cloud) -> None:
    """Sensors would hear of nothing new, or all metadata expire while a cloud is served."""
    assert publish(cloud.database, cloud.online, NOW)
    assert not publish(cloud.database, cloud.online, NOW)
    assert (cloud.version("snapshot"), cloud.version("timestamp")) == (1, 1)
    cloud.push(1)
    assert publish(cloud.database, cloud.online, NOW)
    assert (cloud.version("snapshot"), cloud.version("timestamp")) == (2, 2)
    day = timedelta(days=1)
    assert not publish(cloud.database, cloud.online, NOW + 0.9 * day)
    assert publish(cloud.database, cloud.online, NOW + day)
    assert (cloud.version("snapshot"), cloud.version("timestamp")) == (2, 3)
    with cloud.database.reading() as connection:
        data = metadata.newest(connection, "timestamp")
    left = Metadata[Timestamp].from_bytes(data or b"").signed.expires - (NOW + day)
    assert left == 3 * day, "with two days left at least, a clock may be wrong by one"
    assert publish(cloud.database, cloud.online, NOW + 20 * day)
    assert cloud.version("snapshot") == 3


def test_without_its_keys_the_serving_process_says_so(cloud: Cloud) -> None:
    """Metadata would be signed by a key that no sensor takes."""
    with pytest.raises(KeyFileError, match="snapshot"):
        publish(cloud.database, [cloud.key], NOW)
    assert cloud.version("snapshot") == 0


def test_old_metadata_are_dropped_and_roots_never(cloud: Cloud) -> None:
    """A store would grow with every day, or a sensor that was off for long never catch up."""
    for day in range(20):
        publish(cloud.database, cloud.online, NOW + timedelta(days=day))
    with cloud.database.reading() as connection:
        kept = metadata.everything(connection)
    assert len([role for role, _ in kept if role == "timestamp"]) == metadata.KEPT_VERSIONS
    assert ("root", 1) in kept


def test_a_stolen_key_is_replaced_and_everything_signed_anew(cloud: Cloud) -> None:
    """Hosts that follow the new root would get nothing that was pushed before it."""
    names = [cloud.push(version) for version in (1, 2, 3)]
    with cloud.database.reading() as connection:
        (_, _, newest) = releases.all_releases(connection)
    revoke(cloud.database, newest, [cloud.key], Why("because"), NOW_NS)
    new = SigningKey.generate()
    with pytest.raises(KeyFileError, match="as many keys"):
        cloud.replace_targets_key(new)
    assert cloud.version("root") == 1, "half a ceremony was stored"
    done = cloud.replace_targets_key(new, new)
    assert (done.version, done.signed_anew) == (2, 3)
    for name in names[:2]:
        assert new.trusted().signed_channel_file(cloud.envelope(name))
        with cloud.database.reading() as connection:
            order = releases.halt_order(connection, name)
        assert order is not None
        assert new.trusted().signed_order(told_order(order), order.signatures[0])
    with cloud.database.reading() as connection:
        (order,) = releases.revocations(connection).values()
    assert new.trusted().signed_order(told_order(order), order.signatures[0])
    assert cloud.root().signed.unrecognized_fields[DEVELOPMENT], "root key is still one of init's"
    assert cloud.key.key_id not in cloud.root().signed.unrecognized_fields[DEVELOPMENT]
    assert publish(cloud.database, cloud.online, NOW)
    assert cloud.audited()[-1] == ("keys", "root 2")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change("targets", threshold=2), "threshold 2 with 1 keys"),
        (Change("targets", remove=("f" * 64,)), "0 keys of targets begin so"),
        (Change("root", remove=("",)), "threshold 1 with 0 keys"),
    ],
)
def test_a_change_that_can_not_be_is_refused(cloud: Cloud, change: Change, words: str) -> None:
    """Root metadata that nobody can follow would lock all hosts out."""
    with pytest.raises(KeyFileError, match=words):
        proposed(cloud.root(), change, NOW)


def test_a_draft_needs_the_root_keys_of_both_versions(cloud: Cloud) -> None:
    """Root metadata that no sensor follows would be served."""
    new = SigningKey.generate()
    change = Change("root", (new.trusted(),), (cloud.root_key.key_id,))
    for signers in ((), (new,), (cloud.root_key,)):
        draft = proposed(cloud.root(), change, NOW)
        for key in signers:
            sign_root(draft, key)
        with pytest.raises(KeyFileError), cloud.database.writing() as connection:
            ceremony.publish(connection, draft, [], NOW_NS)
    sign_root(draft, new)
    with cloud.database.writing() as connection:
        assert ceremony.publish(connection, draft, [], NOW_NS).version == 2
    with pytest.raises(KeyFileError, match="follows"), cloud.database.writing() as connection:
        ceremony.publish(connection, draft, [], NOW_NS)


def test_a_customer_signs_beside_the_vendor_and_it_is_offered_again(cloud: Cloud) -> None:
    """Hosts that ask for both signatures would never get both."""
    name, customer = cloud.push(1), SigningKey.generate()
    for _ in range(2):
        with cloud.database.writing() as connection:
            ceremony.countersign(connection, name, customer, NOW_NS)
    envelope = cloud.envelope(name)
    assert [one.key_id for one in envelope.signatures] == [customer.key_id, cloud.key.key_id]
    assert customer.trusted().signed_channel_file(envelope)
    with cloud.database.reading() as connection:
        (release,) = releases.all_releases(connection)
    assert release.push == 3
    assert cloud.audited()[-1] == ("countersign", name.hex())


def test_a_rollout_is_halted_by_the_order_that_was_signed_with_it(cloud: Cloud) -> None:
    """Halting within a second would need the operator's key in the serving process."""
    cloud.push(1)
    name = cloud.push(2)
    orders.halt(cloud.database, name, "alice", "by hand")
    with cloud.database.writing() as connection:
        order = releases.revocations(connection)[name]
        assert order == releases.halt_order(connection, name)
        assert not releases.halt(connection, name, NOW_NS)
        assert not releases.halt(connection, b"?" * 32, NOW_NS)
    assert (order.from_version, order.to_version, order.reason) == (2, 1, HALTED)
    assert cloud.key.trusted().signed_order(told_order(order), order.signatures[0])


def test_what_was_halted_is_no_target_after_the_next_push(cloud: Cloud) -> None:
    """Who takes the server over could offer for ever what was withdrawn."""
    name = cloud.push(1)
    orders.halt(cloud.database, name, "alice", "by hand")
    assert [*cloud.targets().signed.targets] == [f"{name.hex()}.channel"]
    after = cloud.push(2)
    assert [*cloud.targets().signed.targets] == [f"{after.hex()}.channel"]


def test_an_order_that_has_expired_is_known_as_such_and_renewed(cloud: Cloud) -> None:
    """Nobody would be told that hosts keep what was halted, or be able to change it."""
    name, later = cloud.push(1), NOW_NS + (LIMITS.order_days + 1) * 86_400 * 10**9
    orders.halt(cloud.database, name, "alice", "by hand")
    with cloud.database.reading() as connection:
        (release,) = releases.all_releases(connection)
        assert not orders.order_expired(connection, name, NOW_NS)
        assert orders.order_expired(connection, name, later)
        assert not orders.order_expired(connection, b"?" * 32, later)
    assert not revoke(cloud.database, release, [cloud.key], Why("because", "bob"), later)
    with cloud.database.reading() as connection:
        assert not orders.order_expired(connection, name, later)
    assert [action for action, _ in cloud.audited()] == ["plan", "push", "halt", "renew"]
