"""A release that was signed at an operator's desk, to be pushed by somebody who has no key.

One file: a JSON object with the envelope of the Channel File and the order to take it back, each
with its signature. `read` accepts it only if both were made by keys that the cloud trusts; what is
in the payload is then the Content Validator's to judge, as with any push.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.message import DecodeError

from bulkhead.v1.channel_file_pb2 import Signature, SignedChannelFile
from bulkhead.v1.sensor_service_pb2 import Revocation
from cloud.errors import CloudReason, ContentStateError
from cloud.signing import TrustedKey
from content.channel_file import content_hash

FORMAT = "bulkhead signed release 1"
MEMBERS = {"format", "signed", "rollback"}


class Signer(Protocol):
    """Whoever brings the signatures of a push."""

    def sign_channel_file(self, payload: bytes) -> SignedChannelFile:
        """The envelope of a payload."""

    def sign_revocation(self, content_hash: bytes) -> Signature:
        """A signature that withdraws the Channel File with that hash."""


@dataclass(frozen=True, slots=True)
class Presigned:
    """A Signer of one payload only: its signatures were made elsewhere."""

    signed: SignedChannelFile
    rollback: Revocation

    def sign_channel_file(self, payload: bytes) -> SignedChannelFile:
        """The envelope that was brought; ContentStateError for another payload."""
        if payload != self.signed.payload:
            raise _unsigned("another payload than the signed one")
        return self.signed

    def sign_revocation(self, content_hash: bytes) -> Signature:
        """The signature that was brought; ContentStateError for other content."""
        if content_hash != self.rollback.content_hash:
            raise _unsigned("another order than the signed one")
        return self.rollback.signatures[0]


def write(payload: bytes, key: Signer) -> bytes:
    """Sign a payload, and the order to take it back."""
    name = content_hash(payload)
    order = Revocation(content_hash=name, signatures=[key.sign_revocation(name)])
    members = {
        "signed": key.sign_channel_file(payload).SerializeToString(),
        "rollback": order.SerializeToString(),
    }
    texts = {name: base64.b64encode(data).decode("ascii") for name, data in members.items()}
    return json.dumps({"format": FORMAT, **texts}, sort_keys=True).encode("ascii") + b"\n"


def read(data: bytes, trusted: Sequence[TrustedKey]) -> Presigned:
    """What `write` wrote, if trusted keys have signed both; ContentStateError otherwise."""
    try:
        document = json.loads(data)
        if document.keys() != MEMBERS or document["format"] != FORMAT:
            raise ValueError(FORMAT)
        signed = SignedChannelFile.FromString(base64.b64decode(document["signed"], validate=True))
        order = Revocation.FromString(base64.b64decode(document["rollback"], validate=True))
    except (ValueError, TypeError, AttributeError, DecodeError, RecursionError) as error:
        raise _unsigned("no file that `bulkhead cloud sign` has written") from error
    name = content_hash(signed.payload)
    if not any(key.signed_channel_file(signed) for key in trusted):
        raise _unsigned("no signature of the content by a key that this cloud trusts")
    good = [
        one for one in order.signatures if any(key.signed_revocation(name, one) for key in trusted)
    ]
    if not good:
        raise _unsigned("no signed order to take this content back")
    return Presigned(signed, Revocation(content_hash=name, signatures=good[:1]))


def _unsigned(found: str) -> ContentStateError:
    return ContentStateError(
        CloudReason.SIGNATURE_INVALID, f"signed release: found {found}; expected both signatures"
    )
