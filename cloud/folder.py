"""The cloud's folder and the operator's: what lies where, how they are made, how they are opened.

    FOLDER/cloud.sqlite          the store, or database.json: where it is (`cloud.whereabouts`)
    FOLDER/authority/ca.pem      development authority
    FOLDER/issuing/issuing.pem, issuing.key    issues certificates to agents, below that authority
    FOLDER/server/server.pem, server.key   the serving process's certificate
    FOLDER/online/NAME.key       the serving process's own keys: snapshot and timestamp
    FOLDER/serving.json          address and process id while a process serves this folder
    FOLDER/enrolment.json, enrolment.sock      where whoever holds the issuing key is asked
    OPERATOR/root.key, signing.key         root and targets key: never inside FOLDER
    OPERATOR/authority.key       the development authority's, which nothing but `create` needs

The serving process reads everything in FOLDER but the issuing key, which only enrolment opens, and
nothing in OPERATOR. The repository's metadata are in the store. All keys made here are for
development: marked so in the root metadata, and to be replaced (`bulkhead cloud keys`) before hosts
depend on them.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from tuf.api.metadata import Metadata, Root

from cloud import whereabouts
from cloud.authority import Identity, create_authority, create_issuing, issue_server
from cloud.errors import CloudReason, FolderError, KeyFileError
from cloud.files import PRIVATE_FILE, make_private_folder, read_capped, write_whole
from cloud.issuing import Issuer
from cloud.limits import LIMITS
from cloud.repository import (
    changed_targets,
    first_root,
    require_follows,
    sign_root,
    trusted_keys,
)
from cloud.rollout.plan import STAGED, Plan
from cloud.signing import SigningKey, TrustedKey
from cloud.store import metadata, policies, replicas
from cloud.store.database import Database
from cloud.store.dialects import Address
from cloud.store.postgresql import PostgresAddress

OPERATOR_SUFFIX = "-operator"
"""The operator's folder lies beside the cloud's unless it is put elsewhere."""
AUTHORITY_KEY = "authority.key"
SERVING, ISSUING = "serving", "enrolment"
"""What one process at a time does with a folder: names of lock files."""


@dataclass(frozen=True, slots=True)
class CloudFolder:
    """Paths of one cloud."""

    path: Path

    @property
    def database(self) -> Address:
        """Where the store is; StoreError for a damaged note of it."""
        return whereabouts.address_in(self.path)

    @property
    def authority_certificate(self) -> Path:
        """What agents and cloud trust each other's certificates by."""
        return self.path / "authority" / "ca.pem"

    @property
    def issuing_certificate(self) -> Path:
        """What agents show between their own certificate and the authority's."""
        return self.path / "issuing" / "issuing.pem"

    @property
    def issuing_key(self) -> Path:
        """Issues certificates to agents; the serving process never opens it."""
        return self.path / "issuing" / "issuing.key"

    @property
    def server_certificate(self) -> Path:
        """The serving process's certificate."""
        return self.path / "server" / "server.pem"

    @property
    def server_key(self) -> Path:
        """The serving process's key."""
        return self.path / "server" / "server.key"

    @property
    def online(self) -> Path:
        """Folder of the keys that the serving process signs metadata with."""
        return self.path / "online"

    @property
    def serving(self) -> Path:
        """Address and process id of the process that serves this folder."""
        return self.path / "serving.json"

    @property
    def enrolment_note(self) -> Path:
        """Address and process id of the enrolment process of this folder."""
        return self.path / "enrolment.json"

    @property
    def enrolment_socket(self) -> Path:
        """On which the serving process asks it for renewals."""
        return self.path / "enrolment.sock"

    def open(self, busy_ms: int = LIMITS.busy_ms) -> Database:
        """The store; FolderError or StoreError where there is none."""
        self.require_made()
        return Database.open(self.database, busy_ms)

    def look(self) -> Database:
        """The store, to read from; nothing is written in the folder. Errors as of `open`."""
        self.require_made()
        return Database.look(self.database)

    def is_shared(self) -> bool:
        """Whether other hosts may serve the same store; errors as of `open`."""
        self.require_made()
        return not isinstance(self.database, Path)

    def require_made(self) -> None:
        """FolderError unless `create` has been here."""
        whereabouts.require_made(self.path)

    def trusted_keys(self) -> tuple[TrustedKey, ...]:
        """The targets keys; KeyFileError if the store has no repository."""
        return trusted_keys(self.root().signed)

    def root(self) -> Metadata[Root]:
        """The root metadata in force; KeyFileError if the store has no repository."""
        with closing(self.open()) as database, database.reading() as connection:
            root = metadata.newest_root(connection)
        if root is None:
            raise KeyFileError(CloudReason.KEY_MISSING, f"{database}: expected root metadata in it")
        return root

    def issuer(self) -> Issuer:
        """The issuing authority, key included; FolderError or KeyFileError where it is unfit."""
        certificate = read_capped(self.issuing_certificate, LIMITS.key_file_bytes)
        return Issuer(Identity(certificate, read_capped(self.issuing_key, LIMITS.key_file_bytes)))

    def online_keys(self) -> tuple[SigningKey, ...]:
        """What the serving process signs metadata with; KeyFileError for one that is unfit."""
        return tuple(SigningKey.from_file(path) for path in sorted(self.online.glob("*.key")))


def operator_folder(folder: Path) -> Path:
    """Where the operator's key lies unless another place was asked for."""
    resolved = folder.resolve()
    return resolved.with_name(resolved.name + OPERATOR_SUFFIX)


def create(
    folder: Path,
    operator: Path,
    now: datetime,
    plan: Plan = STAGED,
    names: Sequence[str] = (),
    store: PostgresAddress | None = None,
) -> SigningKey:
    """Make both folders, the authority, the server's certificate, the store and its repository.

    store: where it is made, if not in the folder; StoreError where it is out of reach or not empty.

    Rollouts will begin by `plan`. names: what the server is reached by beside localhost;
    KeyFileError for a malformed one.

    Returns the targets key. Raises FolderError if either folder already holds a cloud or the
    operator's lies in the cloud's.
    """
    cloud = CloudFolder(folder)
    _require_room(cloud, operator)
    if store is not None:
        with closing(Database.reach(store)) as database:
            database.require_empty()
    authority = create_authority(now)
    issuing = create_issuing(authority, now)
    server = issue_server(authority, now, names)
    inside = [folder / name for name in ("authority", "issuing", "server", "online")]
    for path in (folder, *inside, operator):
        make_private_folder(path)
    write_whole(operator / AUTHORITY_KEY, authority.key_pem, PRIVATE_FILE)
    write_whole(cloud.authority_certificate, authority.certificate_pem)
    write_whole(cloud.issuing_key, issuing.key_pem, PRIVATE_FILE)
    write_whole(cloud.issuing_certificate, issuing.certificate_pem)
    write_whole(cloud.server_key, server.key_pem, PRIVATE_FILE)
    write_whole(cloud.server_certificate, server.certificate_pem)
    keys = {
        "root": new_key(operator / "root.key"),
        "targets": new_key(operator / "signing.key"),
        "snapshot": new_key(cloud.online / "snapshot.key"),
        "timestamp": new_key(cloud.online / "timestamp.key"),
    }
    _create_store(cloud.database if store is None else store, keys, plan, now)
    if store is not None:
        whereabouts.note_address(folder, store)
    return keys["targets"]


def new_key(path: Path) -> SigningKey:
    """A new key in a file of its own, with its public half beside it (.pub)."""
    if path.exists():
        raise FolderError(CloudReason.FOLDER_EXISTS, f"{path}: already exists; expected a new file")
    key = SigningKey.generate()
    write_whole(path, key.private_pem(), PRIVATE_FILE)
    write_whole(path.with_suffix(".pub"), key.trusted().public_pem())
    return key


def _create_store(
    address: Address, keys: Mapping[str, SigningKey], plan: Plan, now: datetime
) -> None:
    public = {role: key.trusted() for role, key in keys.items()}
    root = first_root(public, [key.key_id for key in keys.values()], now)
    sign_root(root, keys["root"])
    require_follows(None, root)
    with closing(Database.create(address)) as database, database.writing() as connection:
        metadata.add(connection, root)
        targets = changed_targets(root.signed, None, (), (), [keys["targets"]], now)
        metadata.add(connection, targets)
        policies.set_plan(connection, plan, "cloud init", int(now.timestamp()) * 10**9)


@contextmanager
def sole_server(cloud: CloudFolder) -> Iterator[None]:
    """Hold the folder's lock; FolderError if another process serves it.

    The lock ends with the process however it dies, so that nothing needs to be cleaned up.
    """
    with _sole(cloud, SERVING, cloud.serving):
        yield


@contextmanager
def sole_issuer(cloud: CloudFolder) -> Iterator[None]:
    """The same for the enrolment process."""
    with _sole(cloud, ISSUING, cloud.enrolment_note):
        yield


@contextmanager
def _sole(cloud: CloudFolder, what: str, note: Path) -> Iterator[None]:
    with _lock_file(cloud, what) as file:
        if not _locked(file.fileno()):
            raise FolderError(
                CloudReason.FOLDER_IN_USE,
                f"{cloud.path}: another process serves this folder ({what})",
            )
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class ServingNote:
    """What a serving process says of itself; unsafe: it skips the validator.

    pid: 0 for one of another folder.
    """

    address: str
    pid: int
    unsafe: bool


def announce(cloud: CloudFolder, note: ServingNote) -> None:
    """Write down where the folder is served."""
    write_whole(cloud.serving, _as_json(note))


def announce_enrolment(cloud: CloudFolder, note: ServingNote) -> None:
    """Write down where hosts join."""
    write_whole(cloud.enrolment_note, _as_json(note))


def serving(cloud: CloudFolder) -> ServingNote | None:
    """Who serves the folder's store right now, or None if no process does.

    Where replicas share it, that may be one of another host; StoreError if they can't be asked.
    """
    here = _told(cloud, SERVING, cloud.serving)
    if here is not None or not (cloud.path / whereabouts.NOTE).exists():
        return here
    with closing(cloud.open()) as database, database.reading() as connection:
        alive = replicas.alive(connection)
    unsafe = any(one.unsafe for one in alive)
    return ServingNote(alive[0].address, 0, unsafe) if alive else None


def enrolling(cloud: CloudFolder) -> ServingNote | None:
    """Where hosts join right now, or None if no process enrols them."""
    return _told(cloud, ISSUING, cloud.enrolment_note)


def _told(cloud: CloudFolder, what: str, note: Path) -> ServingNote | None:
    with _lock_file(cloud, what) as file:
        if _locked(file.fileno(), shared=True):
            return None
    try:
        return ServingNote(**json.loads(read_capped(note, LIMITS.key_file_bytes)))
    except (FolderError, ValueError, TypeError):  # it holds the lock and is not ready yet, or ends
        return None


def _as_json(note: ServingNote) -> bytes:
    return json.dumps(asdict(note)).encode("ascii") + b"\n"


def _require_room(cloud: CloudFolder, operator: Path) -> None:
    if operator.resolve().is_relative_to(cloud.path.resolve()):
        raise FolderError(
            CloudReason.FOLDER_EXISTS,
            f"{operator}: lies inside {cloud.path}; the signing key must stay out of its reach",
        )
    offline = [operator / name for name in ("root.key", "signing.key", AUTHORITY_KEY)]
    stores = (cloud.path / whereabouts.STORE, cloud.path / whereabouts.NOTE)
    for path in (*stores, cloud.issuing_key, *offline):
        if path.exists():
            raise FolderError(
                CloudReason.FOLDER_EXISTS, f"{path}: already exists; expected a new folder"
            )


def _lock_file(cloud: CloudFolder, what: str) -> BinaryIO:
    path = cloud.path / f"{what}.lock"
    try:
        return path.open("ab")
    except OSError as error:
        raise FolderError(CloudReason.FOLDER_MISSING, f"{path}: {error.strerror}") from error


def _locked(descriptor: int, *, shared: bool = False) -> bool:
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
