"""A release that was signed at an operator's desk, to be pushed by somebody who has no key.

One file: a JSON object with all that a push signs, each part with its signatures: the envelope of
the Channel File, the order by which its rollout can be halted, and the targets metadata that follow
those in force. `sign` computes them from the state of the store, which it only reads. `read` takes
them back, on the console's side:

    1. it is a file that `sign` has written
    2. keys that the cloud trusts have signed all three parts
    3. they did so lately: the halt order is good for weeks only, counted from then

The push itself computes all three anew, with these signatures in the keys' place: what it comes to
has to be what was signed, to the byte. If the store has gone on meanwhile (another push, something
withdrawn, other keys), it is refused, and nothing is stored. What is in the payload is the Content
Validator's to judge, as with any push.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from sqlalchemy import Connection
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Targets

from bulkhead.v1.channel_file_pb2 import SignedChannelFile
from bulkhead.v1.sensor_service_pb2 import Revocation
from cloud import push
from cloud.errors import CloudReason, ContentStateError, KeyFileError
from cloud.limits import LIMITS
from cloud.push import Candidate
from cloud.repository import trusted_keys
from cloud.revoke import NANOSECONDS, told_order
from cloud.signing import Signer, TrustedKey, envelope
from cloud.store import metadata
from cloud.targets import next_targets
from content.signing_domains import CHANNEL_FILE_DOMAIN

FORMAT = "bulkhead signed release 2"
MEMBERS = {"format", "signed", "halt", "targets"}


@dataclass(frozen=True, slots=True)
class Parts:
    """All that a push signs, with signatures."""

    signed: SignedChannelFile
    halt: Revocation
    targets: Metadata[Targets]

    def written(self) -> bytes:
        """As a file."""
        members = {
            "signed": self.signed.SerializeToString(),
            "halt": self.halt.SerializeToString(),
            "targets": self.targets.to_bytes(),
        }
        texts = {name: base64.b64encode(data).decode("ascii") for name, data in members.items()}
        return json.dumps({"format": FORMAT, **texts}, sort_keys=True).encode("ascii") + b"\n"


class Presigned(Signer):
    """A key of which nothing is here but its signatures over the three parts of one release."""

    def __init__(self, key_id: str, signatures: Mapping[bytes, bytes]) -> None:
        self.key_id = key_id
        self._signatures = dict(signatures)

    def sign(self, message: bytes) -> bytes:
        """The signature that was brought; ContentStateError if there is none over that message."""
        if message not in self._signatures:
            raise _outdated("what would be pushed now is not what was signed")
        return self._signatures[message]


@dataclass(frozen=True, slots=True)
class Release:
    """What `read` has found good: the envelope, who signed all of it, and when (ns)."""

    signed: SignedChannelFile
    keys: tuple[Presigned, ...]
    signed_ns: int


def sign(
    connection: Connection, candidate: Candidate, keys: Sequence[Signer], now_ns: int
) -> Parts:
    """All that pushing this candidate now would sign; nothing is stored.

    KeyFileError where the keys are not trusted or too few, ContentStateError and PushRefusedError
    for what could not be pushed.
    """
    if root := metadata.newest_root(connection):
        push.require_trusted(keys, trusted_keys(root.signed))
    push.require_acceptable(connection, candidate, unsafe=False)
    targets = next_targets(connection, keys, now_ns, add=[push.target_of(candidate)], remove=())
    if targets is None:
        raise KeyFileError(CloudReason.KEY_MISSING, "the store: expected root metadata in it")
    halt = push.halt_order(connection, candidate, keys, now_ns)
    return Parts(envelope(candidate.payload, keys), halt, targets)


def read(data: bytes, trusted: Sequence[TrustedKey], now_ns: int) -> Release:
    """What `sign` has made, if trusted keys did so lately; ContentStateError otherwise."""
    # 1. A file of ours.
    parts = _parsed(data)
    # 2. Signatures.
    keys = tuple(filter(None, (_presigned(parts, key) for key in trusted)))
    if not keys:
        raise _unsigned("no key that this cloud trusts has signed content, halt order and targets")
    # 3. Age.
    age = now_ns // NANOSECONDS - parts.halt.issued_unix
    if not -LIMITS.release_ahead_seconds <= age <= LIMITS.release_seconds:
        raise _outdated(f"it was signed {age} seconds ago by this cloud's clock")
    return Release(parts.signed, keys, parts.halt.issued_unix * NANOSECONDS)


def _parsed(data: bytes) -> Parts:
    try:
        document = json.loads(data)
        if document.keys() != MEMBERS or document["format"] != FORMAT:
            raise ValueError(FORMAT)
        signed, halt, targets = (
            base64.b64decode(document[name], validate=True)
            for name in ("signed", "halt", "targets")
        )
        return Parts(
            SignedChannelFile.FromString(signed),
            Revocation.FromString(halt),
            Metadata[Targets].from_bytes(targets),
        )
    except (
        *(ValueError, TypeError, AttributeError, RecursionError),
        *(DecodeError, RepositoryError),
    ) as error:
        raise _unsigned("no file that `bulkhead cloud sign` has written") from error


def _presigned(parts: Parts, key: TrustedKey) -> Presigned | None:
    """The key's signatures, if it has signed all parts."""
    try:
        content = {one.key_id: one.signature for one in parts.signed.signatures}
        order = {one.key_id: one.signature for one in parts.halt.signatures}
        targets = parts.targets.signatures[key.key_id].signature
        signatures = {
            CHANNEL_FILE_DOMAIN + parts.signed.payload: content[key.key_id],
            told_order(parts.halt).signed_bytes(): order[key.key_id],
            parts.targets.signed_bytes: bytes.fromhex(targets),
        }
    except (KeyError, ValueError, TypeError, RepositoryError):
        return None
    good = all(key.signed(message, signature) for message, signature in signatures.items())
    return Presigned(key.key_id, signatures) if good else None


def _unsigned(found: str) -> ContentStateError:
    return ContentStateError(
        CloudReason.SIGNATURE_INVALID, f"signed release: found {found}; expected all signatures"
    )


def _outdated(found: str) -> ContentStateError:
    return ContentStateError(
        CloudReason.RELEASE_OUTDATED,
        f"signed release: {found}; expected one that was signed for what the repository is now, "
        f"at most {LIMITS.release_seconds // 3600} hours ago: sign it again",
    )
