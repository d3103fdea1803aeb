"""Whose signatures count on this host, and the checks that need no parsing. Nothing is believed.

The supervisor has a small trust chain of its own beside the link's: a trust record says the same as
the root metadata of that version, in a form that is verified before it is read. It starts from what
the operator has put on the host; a record that follows must be signed by as many root keys as the
one before it asks for, and by as many of its own. So a link in an attacker's hands can keep news of
keys from us, and nothing else.

    content         as many targets keys as the record asks for, and the customer's if there is one
    stored content  the same, but keys that have been replaced since still count: what runs goes on
                    until it is replaced or given up by an order
    rollback order  as many targets keys of the record in force

State is never half changed: `follow` returns the trust that follows, and leaves this one alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.supervisor.manifest import Signature
from agent.supervisor.payload import RefusedError
from agent.supervisor.signature import TrustedKey
from content.signing_domains import CHANNEL_FILE_DOMAIN, KeySet, RollbackOrder, TrustRecord

MAX_SIGNATURES = 32
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_KEY = re.compile(r"[0-9a-f]{64}")


class TrustRecordError(Exception):
    """A trust record is not one that follows; `reason` is a stable code."""

    def __init__(self, reason: str, found: str, expected: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: found {found}, expected {expected}")


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A trust record with its signatures by root keys."""

    record: TrustRecord
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Trust:
    """What counts now; `followed` are the records since the one that the operator has installed.

    record: None where only targets keys were installed, which then can't be replaced. customer:
    keys of which one has to sign content as well; none: no such signature is asked for.
    """

    targets: KeySet
    record: TrustRecord | None = None
    customer: tuple[bytes, ...] = ()
    replaced: tuple[bytes, ...] = ()
    followed: tuple[SignedRecord, ...] = ()

    @property
    def version(self) -> int:
        """Of the record in force; 0 where there is none."""
        return self.record.version if self.record else 0

    def require_content(self, payload: bytes, signatures: Sequence[Signature]) -> None:
        """RefusedError unless this payload is signed as content has to be now."""
        self._require_content(payload, signatures, self.targets)

    def is_good(self, payload: bytes, signatures: Sequence[Signature]) -> bool:
        """Whether stored content was signed as it had to be when it came."""
        ever = KeySet((*self.targets.keys, *self.replaced), self.targets.threshold)
        try:
            self._require_content(payload, signatures, ever)
        except RefusedError:
            return False
        return True

    def signed_order(self, order: RollbackOrder, signatures: Sequence[Signature]) -> bool:
        """Whether an order is signed as it has to be; ValueError where it can't be one."""
        return _signers(self.targets.keys, order.signed_bytes(), signatures) >= _needed(
            self.targets
        )

    def follow(self, message: Mapping[str, Any]) -> "Trust":
        """The trust after a record that the link has told; TrustRecordError if it doesn't follow.

        A record that is in force already, or older, changes nothing.
        """
        signed = _told(message)
        return self.after(signed)

    def after(self, signed: SignedRecord) -> "Trust":
        """The same for a record of ours."""
        new = signed.record
        if self.record is None:
            raise TrustRecordError("NO_ROOT", "no root keys on this host", "root.json as --trust")
        if new.version <= self.version:
            return self
        if new.version != self.version + 1:
            raise TrustRecordError("ROOT_VERSION", str(new.version), str(self.version + 1))
        data = new.signed_bytes()
        for keys, whose in ((self.record.root, "before"), (new.root, "itself")):
            found, needed = _signers(keys.keys, data, signed.signatures), _needed(keys)
            if found < needed:
                raise TrustRecordError(
                    "ROOT_UNSIGNED",
                    f"good signatures by {found} root keys of the version {whose}",
                    f"{needed} of {len(keys.keys)}",
                )
        gone = set(self.targets.keys) - set(new.targets.keys)
        return replace(
            self,
            targets=new.targets,
            record=new,
            replaced=tuple(sorted({*self.replaced, *gone} - set(new.targets.keys))),
            followed=(*self.followed, signed),
        )

    def _require_content(
        self, payload: bytes, signatures: Sequence[Signature], keys: KeySet
    ) -> None:
        # 1. Somebody whom we know has signed.
        known = {TrustedKey(raw).key_id for raw in (*keys.keys, *self.customer)}
        if signatures and not any(one.key_id in known for one in signatures):
            found = ", ".join(one.key_id[:16] for one in signatures[:4])
            raise RefusedError("UNKNOWN_KEY", f"key {found:.64}", "a trusted key of this sensor")
        # 2. The vendor.
        data = CHANNEL_FILE_DOMAIN + payload
        found_keys, needed = _signers(keys.keys, data, signatures), _needed(keys)
        if found_keys < needed:
            raise RefusedError(
                "SIGNATURE_INVALID", f"good signatures by {found_keys} targets keys", f"{needed}"
            )
        # 3. The customer, where that was asked for: both or nothing.
        if self.customer and not _signers(self.customer, data, signatures):
            raise RefusedError(
                "COUNTER_SIGNATURE_MISSING",
                "no good signature by a key of the customer's",
                "the vendor's signature and the customer's",
            )


NOBODY = Trust(KeySet((), 1))
"""No key counts: no content is taken."""


def signatures_of(told: Sequence[Any]) -> tuple[Signature, ...]:
    """Signatures as the link tells them, in one form only; what is none is left out."""
    pairs = [one for one in told[:MAX_SIGNATURES] if isinstance(one, list) and len(one) == 2]  # noqa: PLR2004 — a pair
    return tuple(
        Signature(key, signature)
        for key, signature in pairs
        if isinstance(key, str)
        and isinstance(signature, str)
        and _KEY.fullmatch(key)
        and _SIGNATURE.fullmatch(signature)
    )


def _signers(keys: Iterable[bytes], data: bytes, signatures: Iterable[Signature]) -> int:
    """How many different keys have signed."""
    trusted = {key.key_id: key for key in map(TrustedKey, keys)}
    good = {
        one.key_id
        for one in signatures
        if one.key_id in trusted and trusted[one.key_id].signed(data, bytes.fromhex(one.signature))
    }
    return len(good)


def _needed(keys: KeySet) -> int:
    """Never none, whatever is written somewhere."""
    return max(1, keys.threshold)


def _told(message: Mapping[str, Any]) -> SignedRecord:
    try:
        record = TrustRecord(
            message["version"],
            KeySet(_raw(message["root_keys"]), message["root_threshold"]),
            KeySet(_raw(message["targets_keys"]), message["targets_threshold"]),
        )
        record.signed_bytes()
    except (ValueError, TypeError) as error:
        raise TrustRecordError("ROOT_MALFORMED", str(error)[:200], "a trust record") from error
    return SignedRecord(record, signatures_of(message["signatures"]))


def _raw(told: Sequence[Any]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(one) for one in told)
