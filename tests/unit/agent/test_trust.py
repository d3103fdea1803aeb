"""The supervisor's own trust chain: what it takes from a link that may be an attacker's."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from agent.supervisor.manifest import Signature
from agent.supervisor.payload import RefusedError
from agent.supervisor.signature import TrustError
from agent.supervisor.store import Store
from agent.supervisor.trust import NOBODY, Trust, TrustRecordError
from agent.supervisor.trust_files import FILE, installed, keep, opened
from content.signing_domains import CHANNEL_FILE_DOMAIN, KeySet, TrustRecord, key_id
from tests.process.link_repository import Repository
from tests.unit.agent.flow_world import full_disk

PAYLOAD = b"a payload"


class Key:
    """A private key of the test's."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.pem = self._key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, data: bytes) -> Signature:
        """A signature as the link tells it."""
        return Signature(key_id(self.raw), self._key.sign(data).hex())

    def content(self, payload: bytes = PAYLOAD) -> Signature:
        """A signature over content."""
        return self.sign(CHANNEL_FILE_DOMAIN + payload)


ROOT, ROOT_2, VENDOR, VENDOR_2, CUSTOMER, STRANGER = (Key() for _ in range(6))


def keys(*of: Key, threshold: int = 1) -> KeySet:
    """A set of keys."""
    return KeySet(tuple(sorted(one.raw for one in of)), threshold)


FIRST = TrustRecord(1, keys(ROOT), keys(VENDOR))
TRUST = Trust(FIRST.targets, FIRST)


def told(record: TrustRecord, *signers: Key, **different: Any) -> dict[str, Any]:
    """The link's message about a record, signed by these."""
    data = record.signed_bytes()
    return {
        "version": record.version,
        "root_keys": [key.hex() for key in record.root.keys],
        "root_threshold": record.root.threshold,
        "targets_keys": [key.hex() for key in record.targets.keys],
        "targets_threshold": record.targets.threshold,
        "signatures": [[one.key_id, one.signature] for one in (s.sign(data) for s in signers)],
        **different,
    }


def reason(trust: Trust, signatures: Sequence[Signature]) -> str:
    """Why content is refused, or nothing."""
    try:
        trust.require_content(PAYLOAD, signatures)
    except RefusedError as refused:
        return str(refused)
    return ""


def test_as_many_targets_keys_as_asked_for_have_to_sign() -> None:
    """One of two operators, or one signature shown twice, would be enough."""
    trust = Trust(keys(VENDOR, VENDOR_2, threshold=2))
    one, two = VENDOR.content(), VENDOR_2.content()
    assert reason(trust, [one]) == reason(trust, [one, one]) == "SIGNATURE_INVALID"
    assert reason(trust, [one, STRANGER.content()]) == "SIGNATURE_INVALID"
    assert reason(trust, [STRANGER.content(), two, one]) == ""
    assert reason(trust, [STRANGER.content()]) == "UNKNOWN_KEY"
    assert reason(trust, []) == "SIGNATURE_INVALID"
    assert reason(NOBODY, [one]) == "UNKNOWN_KEY"


def test_a_customer_s_signature_is_asked_for_beside_the_vendor_s() -> None:
    """A vendor, or a customer, could alone put content in force on hosts that ask for both."""
    trust = replace(TRUST, customer=(CUSTOMER.raw,))
    assert reason(trust, [VENDOR.content()]) == "COUNTER_SIGNATURE_MISSING"
    assert reason(trust, [CUSTOMER.content()]) == "SIGNATURE_INVALID"
    assert reason(trust, [VENDOR.content(), CUSTOMER.content(b"other")]) == (
        "COUNTER_SIGNATURE_MISSING"
    )
    assert reason(trust, [VENDOR.content(), CUSTOMER.content()]) == ""
    assert reason(TRUST, [VENDOR.content(), CUSTOMER.content()]) == ""


def test_a_record_follows_if_the_root_keys_of_before_and_its_own_have_signed() -> None:
    """A link could replace the keys, or a stolen key be left in force."""
    new = TrustRecord(2, keys(ROOT_2), keys(VENDOR_2))
    for signers in ((), (ROOT,), (ROOT_2,), (STRANGER,), (VENDOR, VENDOR_2)):
        with pytest.raises(TrustRecordError, match="ROOT_UNSIGNED"):
            TRUST.follow(told(new, *signers))
    after = TRUST.follow(told(new, ROOT, ROOT_2))
    assert (after.version, TRUST.version) == (2, 1)
    assert reason(after, [VENDOR_2.content()]) == ""
    assert reason(after, [VENDOR.content()]) == "UNKNOWN_KEY"


def test_root_keys_below_their_threshold_replace_nothing() -> None:
    """One of two holders of root keys could replace all keys alone."""
    first = TrustRecord(1, keys(ROOT, ROOT_2, threshold=2), keys(VENDOR))
    new = TrustRecord(2, keys(ROOT), keys(STRANGER))
    with pytest.raises(TrustRecordError, match="ROOT_UNSIGNED"):
        Trust(first.targets, first).follow(told(new, ROOT))


def test_records_are_followed_one_by_one_and_never_back() -> None:
    """The record that revokes a key could be skipped, or an older one be put in force again."""
    second = TrustRecord(2, keys(ROOT), keys(VENDOR_2))
    after = TRUST.follow(told(second, ROOT))
    assert after.follow(told(FIRST, ROOT)) == after
    assert after.follow(told(second, ROOT)) == after
    with pytest.raises(TrustRecordError, match="ROOT_VERSION"):
        after.follow(told(replace(second, version=4), ROOT))


def test_a_host_with_keys_only_follows_nothing() -> None:
    """Whoever first offers root metadata would be believed."""
    with pytest.raises(TrustRecordError, match="NO_ROOT"):
        Trust(keys(VENDOR)).follow(told(replace(FIRST, version=2), ROOT))


def test_stored_content_outlives_its_key_and_new_content_does_not() -> None:
    """Replacing a key would leave hosts without protection, or the old one be good for ever."""
    after = TRUST.follow(told(TrustRecord(2, keys(ROOT), keys(VENDOR_2)), ROOT))
    assert after.is_good(PAYLOAD, [VENDOR.content()])
    assert not after.is_good(PAYLOAD, [STRANGER.content()])
    assert reason(after, [VENDOR.content()]) == "UNKNOWN_KEY"


RUBBISH: list[dict[str, Any]] = [
    {"version": -1},
    {"version": 2**64},
    {"root_threshold": 0},
    {"root_threshold": 2},
    {"targets_threshold": -1},
    {"targets_keys": []},
    {"targets_keys": ["zz"]},
    {"targets_keys": [7]},
    {"targets_keys": [VENDOR.raw.hex()[:-2]]},
    {"targets_keys": [VENDOR.raw.hex()] * 2, "targets_threshold": 2},
    {"root_keys": [ROOT.raw.hex(), "00" * 32]},
    {"root_keys": ["00" * 32] * 1000},
]


# By number: keys are made anew in each process that collects tests, and names have to be the same.
@pytest.mark.parametrize("different", RUBBISH, ids=range(len(RUBBISH)))
def test_what_is_no_record_is_refused(different: dict[str, Any]) -> None:
    """A broken link could end the supervisor, or make one key count twice."""
    new = TrustRecord(2, keys(ROOT), keys(VENDOR_2))
    with pytest.raises(TrustRecordError, match="ROOT_MALFORMED"):
        TRUST.follow(told(new, ROOT, **different))


@given(
    signatures=st.lists(
        st.none() | st.lists(st.text(max_size=5) | st.just(key_id(ROOT.raw)) | st.none())
    )
)
def test_rubbish_for_signatures_is_none(signatures: list[Any]) -> None:
    """A broken link could end the supervisor."""
    new = TrustRecord(2, keys(ROOT), keys(VENDOR_2))
    with pytest.raises(TrustRecordError, match="ROOT_UNSIGNED"):
        TRUST.follow(told(new, signatures=signatures))


def test_what_was_followed_survives_a_restart_and_is_verified_again(tmp_path: Path) -> None:
    """A revoked key would count again after a restart, or whoever can write one file be trusted."""
    store = Store(tmp_path)
    after = TRUST.follow(told(TrustRecord(2, keys(ROOT_2), keys(VENDOR_2)), ROOT, ROOT_2))
    after = after.follow(told(TrustRecord(3, keys(ROOT_2), keys(VENDOR)), ROOT_2))
    keep(after, store)
    assert opened(TRUST, store) == (after, [])
    path = tmp_path / FILE
    path.write_text(path.read_text().replace(VENDOR_2.raw.hex(), STRANGER.raw.hex()))
    found, (said,) = opened(TRUST, store)
    assert found == TRUST
    assert "ROOT_UNSIGNED" in said
    for rubbish in ("", "[]", "{}", '{"format": 2}', '{"format": 1, "records": [1]}', "[" * 10**5):
        path.write_text(rubbish)
        found, (said,) = opened(TRUST, store)
        assert found == TRUST
        assert str(path) in said
    with full_disk(), pytest.raises(OSError, match="too large"):
        keep(after, store)
    store.close()


def test_root_metadata_are_what_the_operator_installs(tmp_path: Path) -> None:
    """Supervisor and link would begin with different keys."""
    repository = Repository()
    (tmp_path / "root.json").write_bytes(repository.installed)
    (tmp_path / "customer.pub").write_bytes(CUSTOMER.pem)
    trust = installed([tmp_path / "root.json"], [tmp_path / "customer.pub"])
    assert trust.version == 1
    assert trust.targets.keys == (repository.keys["targets"][0].trusted().raw,)
    assert trust.customer == (CUSTOMER.raw,)
    with pytest.raises(TrustError, match="no other"):
        installed([tmp_path / "root.json", tmp_path / "customer.pub"], [])


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"{}", b'{"signed": 7}', b"[" * 10**4, b" " * 70_000],
    ids=["nothing", "empty", "number", "nested", "blank"],
)
def test_what_is_no_root_metadata_stops_the_start(tmp_path: Path, rubbish: bytes) -> None:
    """A sensor would start with nobody trusted and say nothing."""
    path = tmp_path / "root.json"
    path.write_bytes(rubbish)
    with pytest.raises(TrustError, match=r"root\.json"):
        installed([path], [])
