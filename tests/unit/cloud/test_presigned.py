"""A signed release is pushed only as it was signed, by keys that the cloud trusts."""

import base64
import json

import pytest

from bulkhead.v1.sensor_service_pb2 import Revocation
from cloud import presigned
from cloud.errors import CloudReason, ContentStateError
from cloud.signing import SigningKey
from content.channel_file import content_hash

KEY, OTHER = SigningKey.generate(), SigningKey.generate()
PAYLOAD = b"what is in it is not looked into"


def refused(data: bytes) -> bool:
    """Whether it is, with the reason for it."""
    with pytest.raises(ContentStateError) as caught:
        presigned.read(data, [KEY.trusted()])
    return caught.value.reason == CloudReason.SIGNATURE_INVALID


def changed(**members: object) -> bytes:
    """A signed release with other members."""
    document = json.loads(presigned.write(PAYLOAD, KEY))
    return json.dumps({**document, **members}).encode("ascii")


def text(message: bytes) -> str:
    """As the file has it."""
    return base64.b64encode(message).decode("ascii")


def test_what_was_signed_comes_back_with_both_signatures() -> None:
    """Agents would refuse the content, or the order to give it up."""
    release = presigned.read(presigned.write(PAYLOAD, KEY), [OTHER.trusted(), KEY.trusted()])
    envelope = release.sign_channel_file(PAYLOAD)
    name = content_hash(PAYLOAD)
    assert KEY.trusted().signed_channel_file(envelope)
    assert KEY.trusted().signed_revocation(name, release.sign_revocation(name))


def test_it_signs_nothing_else() -> None:
    """Whoever has one release could push any."""
    release = presigned.read(presigned.write(PAYLOAD, KEY), [KEY.trusted()])
    for attempt in (
        lambda: release.sign_channel_file(PAYLOAD + b"!"),
        lambda: release.sign_revocation(b"\0" * 32),
    ):
        with pytest.raises(ContentStateError):
            attempt()


def test_a_key_that_is_not_trusted_signs_nothing() -> None:
    """Anybody could make one."""
    assert refused(presigned.write(PAYLOAD, OTHER))
    theirs = json.loads(presigned.write(PAYLOAD, OTHER))
    assert refused(changed(signed=theirs["signed"]))
    assert refused(changed(rollback=theirs["rollback"]))


def test_an_order_for_other_content_is_not_one_for_this() -> None:
    """What is halted could not be taken back."""
    other = json.loads(presigned.write(b"other", KEY))
    assert refused(changed(rollback=other["rollback"]))
    assert refused(changed(rollback=text(Revocation().SerializeToString())))
    assert refused(changed(signed=other["signed"]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b"[" * 100_000,
        b"\xff",
        b'{"format": "bulkhead signed release 1"}',
        changed(format="another"),
        changed(more=1),
        changed(signed=1),
        changed(signed="not base64!"),
        changed(signed=text(b"\xff")),
        changed(rollback=text(b"\xff")),
        changed(signed=""),
    ],
)
def test_what_is_no_release_is_refused(data: bytes) -> None:
    """An upload would be an error of ours."""
    assert refused(data)
