"""Joining: a key made on this host, and the certificate that a join file is good for.

Not a part of the running link: an operator calls it once, before the sensor is started. The join
file says whom to believe: where to ask, by which authority that place is known, and which root of
the repository this host begins with. What comes back is checked against it. The folder appears
whole or not at all; where one is replaced, old and new change places in one step.
"""

import ctypes
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509

from agent.link.credentials import Pair, read_pair
from agent.link.errors import CredentialsError, JoinError, refusal
from agent.link.limits import LIMITS
from agent.link.signing_request import new_request
from bulkhead.v1.enrolment_service_pb2 import JoinRequest
from bulkhead.v1.enrolment_service_pb2_grpc import EnrolmentServiceStub

FORMAT = 1
TEXTS = ("address", "token", "agent_id", "authority", "root")
ON_ONE_LINE = ("address", "token", "agent_id")
OURS = frozenset({"agent.pem", "agent.key", "ca.pem", "root.json"})
SPIFFE_PREFIX = "spiffe://bulkhead/agent/"
AGENT_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
PRIVATE, PUBLIC, PRIVATE_FOLDER = 0o600, 0o644, 0o700
AT_FDCWD, RENAME_EXCHANGE = -100, 2
OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", LIMITS.certificate_bytes),
)


@dataclass(frozen=True, slots=True)
class JoinFile:
    """What `bulkhead cloud token new` has written; address and agent_id may be empty."""

    address: str
    token: str
    agent_id: str
    authority: str
    root: str

    def __repr__(self) -> str:
        return "JoinFile(…)"


def read_join_file(path: Path) -> JoinFile:
    """JoinError for a file that is unreadable, too large or not as it must be."""
    try:
        with path.open("rb") as file:
            data = file.read(LIMITS.join_file_bytes + 1)
    except OSError as error:
        raise JoinError("JOIN_FILE", f"{path}: {error.strerror}; expected a join file") from error
    if len(data) > LIMITS.join_file_bytes:
        raise JoinError("JOIN_FILE", f"{path}: larger than {LIMITS.join_file_bytes} bytes")
    try:
        document: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise JoinError("JOIN_FILE", f"{path}: expected JSON, as `cloud token new` does") from error
    return _require_join_file(path, document)


def join(file: JoinFile, agent_id: str, address: str, folder: Path, *, again: bool) -> str:
    """Get a certificate for this agent and write it to the folder; when it ends, ISO 8601.

    JoinError with the reason: the cloud's own, or what is wrong here. Nothing has changed then.
    """
    if not AGENT_ID.fullmatch(agent_id):
        found = f"agent id {agent_id!a:.80}"
        raise JoinError("AGENT_ID_INVALID", f"{found}: expected 1 to 63 of a-z 0-9 . _ -")
    _require_room(folder, agent_id, again=again)
    try:
        with _beside(folder) as new:  # before the token is used
            pair = _certified(file, agent_id, address)
            files = {
                "ca.pem": (file.authority.encode(), PUBLIC),
                "root.json": (file.root.encode(), PUBLIC),
                "agent.pem": (pair.chain, PUBLIC),
                "agent.key": (pair.key, PRIVATE),
            }
            _write(new, files)
            _put(new, folder)
    except OSError as error:
        raise JoinError("FOLDER_UNWRITABLE", f"{folder}: {error.strerror}") from error
    return pair.ends.isoformat()


def _certified(file: JoinFile, agent_id: str, address: str) -> Pair:
    name, authority = _name(agent_id), file.authority.encode()
    key, request = new_request(name)
    asked = JoinRequest(token=file.token, agent_id=agent_id, signing_request=request)
    try:
        pair = read_pair(_ask(address, authority, asked), key, authority)
    except CredentialsError as error:
        raise JoinError("JOIN_ANSWER", f"{address}: {error}") from error
    if pair.names != (name,):
        raise JoinError("JOIN_ANSWER", f"{address}: a certificate for somebody else")
    return pair


def _require_join_file(path: Path, document: object) -> JoinFile:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise JoinError("JOIN_FILE", f"{path}: expected an object with format {FORMAT}")
    texts: dict[str, Any] = {name: document.get(name) for name in TEXTS}
    for name, value in texts.items():
        if not isinstance(value, str) or (name in ON_ONE_LINE and not value.isprintable()):
            raise JoinError("JOIN_FILE", f"{path}: {name}: expected text")
    if "-----BEGIN CERTIFICATE-----" not in texts["authority"]:
        raise JoinError("JOIN_FILE", f"{path}: authority: expected a certificate in PEM form")
    return JoinFile(**texts)


def _require_room(folder: Path, agent_id: str, *, again: bool) -> None:
    if not folder.exists():
        return
    try:
        there = {one.name for one in folder.iterdir()}
        certificate = (folder / "agent.pem").read_bytes() if "agent.pem" in there else b""
    except OSError as error:
        raise JoinError("FOLDER_EXISTS", f"{folder}: {error.strerror}") from error
    if not there:
        return
    if there - OURS:
        found = min(there - OURS)
        raise JoinError("FOLDER_EXISTS", f"{folder}: holds {found!a:.80}; expected a new folder")
    if not again:
        raise JoinError("FOLDER_EXISTS", f"{folder}: has joined already; --again replaces it")
    if certificate and not _is_of(certificate, agent_id):
        raise JoinError("FOLDER_EXISTS", f"{folder}: is another agent's; expected a new folder")


def _is_of(certificate: bytes, agent_id: str) -> bool:
    try:
        found = x509.load_pem_x509_certificate(certificate).extensions
        names = list(found.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (ValueError, x509.ExtensionNotFound):
        return False
    return names == [_name(agent_id)]


def _name(agent_id: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(SPIFFE_PREFIX + agent_id)


def _ask(address: str, authority: bytes, request: JoinRequest) -> bytes:
    credentials = grpc.ssl_channel_credentials(authority)
    with grpc.secure_channel(address, credentials, options=OPTIONS) as channel:
        try:
            response = EnrolmentServiceStub(channel).Join(request, timeout=LIMITS.join_seconds)
        except grpc.RpcError as error:
            reason, text = refusal(error.code().name, error.details())
            raise JoinError(reason, f"{address}: {text}") from error
    return bytes(response.certificate_chain)


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A new folder, which is gone afterwards, with whatever is in it then."""
    new = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    new.mkdir(mode=PRIVATE_FOLDER, parents=True)
    try:
        yield new
    finally:
        if new.exists():
            shutil.rmtree(new)


def _write(new: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    for name, (data, mode) in files.items():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(new / name, flags, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    _sync(new)


def _put(new: Path, folder: Path) -> None:
    """In its place, in one step; what was there is where the new one was."""
    if folder.exists():
        _exchange(new, folder)
    else:
        new.rename(folder)
    _sync(folder.parent)


def _exchange(one: Path, other: Path) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    paths = (os.fsencode(one), AT_FDCWD, os.fsencode(other))
    if library.renameat2(AT_FDCWD, *paths, RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
