"""Envelopes: payload and signatures, as strictly loaded as what they carry."""

from dataclasses import replace

import pytest

from bulkhead.v1 import channel_file_pb2
from content.channel_file import (
    Envelope,
    Signature,
    SignatureAlgorithm,
    load_envelope,
    pack,
    pack_envelope,
)
from content.limits import LIMITS
from content.problems import ContentError
from content.reasons import Reason
from tests.unit.content.examples import VALUES_OF_EVERY_KIND

PAYLOAD = pack(VALUES_OF_EVERY_KIND)
UNKNOWN_FIELD = b"\xfa\x7f\x01x"  # field number 2047, one byte
ENVELOPE = Envelope(PAYLOAD, (Signature("ab" * 32, SignatureAlgorithm.ED25519, bytes(64)),))


def envelope_refusal(data: bytes) -> Reason:
    """The reason with which an envelope is refused."""
    with pytest.raises(ContentError) as refused:
        load_envelope(data)
    return refused.value.problems[0].reason


def test_envelope_round_trip() -> None:
    """Payload or signatures would be lost on the way."""
    assert load_envelope(pack_envelope(ENVELOPE)) == ENVELOPE
    assert load_envelope(pack_envelope(Envelope(b"opaque"))) == Envelope(b"opaque")


def test_every_truncation_is_refused() -> None:
    """A file that was cut off would be loaded as shorter content."""
    data = pack_envelope(ENVELOPE)
    unsigned = len(pack_envelope(Envelope(PAYLOAD)))
    for length in range(len(data)):
        if length == unsigned:  # the payload is whole, its signature gone
            assert load_envelope(data[:length]) == Envelope(PAYLOAD)
        else:
            with pytest.raises(ContentError):
                load_envelope(data[:length])


def test_envelopes_are_as_strict() -> None:
    """Something could be carried beside the signed payload, unseen."""
    good = pack_envelope(ENVELOPE)
    assert envelope_refusal(b"") is Reason.EMPTY_FILE
    assert envelope_refusal(pack_envelope(Envelope(b""))) is Reason.EMPTY_FILE
    assert envelope_refusal(pack_envelope(replace(ENVELOPE, payload=b""))) is Reason.EMPTY_FILE
    assert envelope_refusal(b"\xff" * 9) is Reason.NOT_A_CHANNEL_FILE
    assert envelope_refusal(good + UNKNOWN_FIELD) is Reason.UNKNOWN_PROTOBUF_FIELD
    assert envelope_refusal(good + good) is Reason.NOT_CANONICAL
    signature = good[len(pack_envelope(Envelope(PAYLOAD))) :]
    assert envelope_refusal(signature + pack_envelope(Envelope(PAYLOAD))) is Reason.NOT_CANONICAL
    assert envelope_refusal(bytes(LIMITS.envelope_bytes + 1)) is Reason.FILE_TOO_LARGE
    many = Envelope(b"x", ENVELOPE.signatures * (LIMITS.signatures + 1))
    assert envelope_refusal(pack_envelope(many)) is Reason.LIMIT_EXCEEDED


def test_a_payload_at_its_limit_is_carried() -> None:
    """The limit would be off by one."""
    whole = Envelope(bytes(LIMITS.payload_bytes))
    assert load_envelope(pack_envelope(whole)) == whole


def test_payload_limit_holds_inside_an_envelope() -> None:
    """A payload over its limit could hide in the envelope's allowance."""
    data = pack_envelope(Envelope(bytes(LIMITS.payload_bytes + 1)))
    assert envelope_refusal(data) is Reason.FILE_TOO_LARGE


@pytest.mark.parametrize(("number", "reason"), [(0, Reason.UNSET_ENUM), (2, Reason.UNKNOWN_ENUM)])
def test_signature_algorithm_is_known(number: int, reason: Reason) -> None:
    """A signature could be verified with another algorithm than it was made with."""
    message = channel_file_pb2.SignedChannelFile.FromString(pack_envelope(ENVELOPE))
    message.signatures[0].algorithm = channel_file_pb2.SignatureAlgorithm.ValueType(number)
    assert envelope_refusal(message.SerializeToString(deterministic=True)) is reason
