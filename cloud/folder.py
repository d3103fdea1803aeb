"""The cloud's folder and the operator's: what lies where, how they are made, how they are opened.

    FOLDER/cloud.sqlite          the store
    FOLDER/authority/ca.pem, ca.key        development authority; the key only enrols agents
    FOLDER/server/server.pem, server.key   the serving process's certificate
    FOLDER/trusted/KEY-ID.pem    public keys whose signatures count
    FOLDER/serving.json          address and process id while a process serves this folder
    OPERATOR/signing.key, signing.pub      the signing key: never inside FOLDER

The serving process reads everything in FOLDER but the authority's key, and nothing in OPERATOR.
"""

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from cloud.authority import Identity, create_authority, issue_agent, issue_server
from cloud.errors import CloudReason, FolderError, KeyFileError
from cloud.files import PRIVATE_FILE, make_private_folder, read_capped, write_whole
from cloud.limits import LIMITS
from cloud.rollout.plan import STAGED, Plan
from cloud.signing import SigningKey, TrustedKey
from cloud.store import policies
from cloud.store.database import Database

OPERATOR_SUFFIX = "-operator"
"""The operator's folder lies beside the cloud's unless it is put elsewhere."""


@dataclass(frozen=True, slots=True)
class CloudFolder:
    """Paths of one cloud."""

    path: Path

    @property
    def database(self) -> Path:
        """The store."""
        return self.path / "cloud.sqlite"

    @property
    def authority_certificate(self) -> Path:
        """What agents and cloud trust each other's certificates by."""
        return self.path / "authority" / "ca.pem"

    @property
    def authority_key(self) -> Path:
        """Issues certificates; the serving process never opens it."""
        return self.path / "authority" / "ca.key"

    @property
    def server_certificate(self) -> Path:
        """The serving process's certificate."""
        return self.path / "server" / "server.pem"

    @property
    def server_key(self) -> Path:
        """The serving process's key."""
        return self.path / "server" / "server.key"

    @property
    def trusted(self) -> Path:
        """Folder of the public keys whose signatures count."""
        return self.path / "trusted"

    @property
    def serving(self) -> Path:
        """Address and process id of the process that serves this folder."""
        return self.path / "serving.json"

    def open(self, busy_ms: int = LIMITS.busy_ms) -> Database:
        """The store; FolderError or StoreError where there is none."""
        self.require_made()
        return Database.open(self.database, busy_ms)

    def require_made(self) -> None:
        """FolderError unless `create` has been here."""
        if not self.database.exists():
            there = self.path.is_dir()
            reason = CloudReason.DATABASE_MISSING if there else CloudReason.FOLDER_MISSING
            raise FolderError(
                reason, f"{self.database}: not found; make it with `bulkhead cloud init`"
            )

    def trusted_keys(self) -> tuple[TrustedKey, ...]:
        """The keys whose signatures count; KeyFileError if there is none."""
        keys = tuple(TrustedKey.from_file(path) for path in sorted(self.trusted.glob("*.pem")))
        if not keys:
            raise KeyFileError(
                CloudReason.KEY_MISSING, f"{self.trusted}: expected at least one trusted key"
            )
        return keys


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
) -> SigningKey:
    """Make both folders, the authority, the server's certificate, the store and a signing key.

    Rollouts will begin by `plan`. names: what the server is reached by beside localhost;
    KeyFileError for a malformed one.

    Raises FolderError if either folder already holds a cloud or the operator's lies in the cloud's.
    """
    cloud = CloudFolder(folder)
    _require_room(cloud, operator)
    authority = create_authority(now)
    server = issue_server(authority, now, names)
    for path in (folder, folder / "authority", folder / "server", cloud.trusted, operator):
        make_private_folder(path)
    key = SigningKey.generate()
    write_whole(operator / "signing.key", key.private_pem(), PRIVATE_FILE)
    write_whole(operator / "signing.pub", key.trusted().public_pem())
    write_whole(cloud.trusted / f"{key.key_id}.pem", key.trusted().public_pem())
    write_whole(cloud.authority_key, authority.key_pem, PRIVATE_FILE)
    write_whole(cloud.authority_certificate, authority.certificate_pem)
    write_whole(cloud.server_key, server.key_pem, PRIVATE_FILE)
    write_whole(cloud.server_certificate, server.certificate_pem)
    _create_store(cloud.database, plan, now)
    return key


def _create_store(path: Path, plan: Plan, now: datetime) -> None:
    with closing(Database.create(path)) as database, database.writing() as connection:
        now_ns = int(now.timestamp()) * 10**9
        policies.set_plan(connection, plan, "cloud init", now_ns)


def enrol(cloud: CloudFolder, agent_id: str, output: Path, now: datetime) -> None:
    """Write what an agent needs to `output`: agent.pem, agent.key, ca.pem and signing.pub.

    Raises KeyFileError for a malformed id or if the output already holds an agent's key.
    """
    cloud.require_made()
    authority = Identity(
        read_capped(cloud.authority_certificate, LIMITS.key_file_bytes),
        read_capped(cloud.authority_key, LIMITS.key_file_bytes),
    )
    identity = issue_agent(authority, agent_id, now)
    (trusted, *_) = cloud.trusted_keys()
    make_private_folder(output)
    if (output / "agent.key").exists():
        raise FolderError(
            CloudReason.FOLDER_EXISTS, f"{output}: holds an agent's key; expected a new folder"
        )
    write_whole(output / "ca.pem", authority.certificate_pem)
    write_whole(output / "signing.pub", trusted.public_pem())
    write_whole(output / "agent.pem", identity.certificate_pem)
    write_whole(output / "agent.key", identity.key_pem, PRIVATE_FILE)


@contextmanager
def sole_server(cloud: CloudFolder) -> Iterator[None]:
    """Hold the folder's lock; FolderError if another process serves it.

    The lock ends with the process however it dies, so that nothing needs to be cleaned up.
    """
    with _lock_file(cloud) as file:
        if not _locked(file.fileno()):
            raise FolderError(
                CloudReason.FOLDER_IN_USE, f"{cloud.path}: another process serves this folder"
            )
        try:
            yield
        finally:
            cloud.serving.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class ServingNote:
    """What a serving process says of itself; unsafe: it skips the validator."""

    address: str
    pid: int
    unsafe: bool


def announce(cloud: CloudFolder, note: ServingNote) -> None:
    """Write down where the folder is served."""
    write_whole(cloud.serving, json.dumps(asdict(note)).encode("ascii") + b"\n")


def serving(cloud: CloudFolder) -> ServingNote | None:
    """Who serves the folder right now, or None if no process does."""
    with _lock_file(cloud) as file:
        if _locked(file.fileno(), shared=True):
            return None
    try:
        return ServingNote(**json.loads(read_capped(cloud.serving, LIMITS.key_file_bytes)))
    except (FolderError, ValueError, TypeError):  # it holds the lock and is not ready yet, or ends
        return None


def _require_room(cloud: CloudFolder, operator: Path) -> None:
    if operator.resolve().is_relative_to(cloud.path.resolve()):
        raise FolderError(
            CloudReason.FOLDER_EXISTS,
            f"{operator}: lies inside {cloud.path}; the signing key must stay out of its reach",
        )
    for path in (cloud.database, cloud.authority_key, operator / "signing.key"):
        if path.exists():
            raise FolderError(
                CloudReason.FOLDER_EXISTS, f"{path}: already exists; expected a new folder"
            )


def _lock_file(cloud: CloudFolder) -> BinaryIO:
    path = cloud.path / "serving.lock"
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
