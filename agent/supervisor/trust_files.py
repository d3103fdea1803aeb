"""Where trust begins and is kept: the operator's files, and the records that have followed.

The operator installs a root.json (keys can then be replaced over the session) or public keys in PEM
form (they can't). Both are our own files, readable and writable by nobody else. Records that follow
are kept beside the manifest and verified again, one after the other, at every start.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent import own_files
from agent.supervisor.manifest import Signature
from agent.supervisor.signature import TrustedKey, TrustError
from agent.supervisor.store import Store
from agent.supervisor.trust import SignedRecord, Trust, TrustRecordError
from content.signing_domains import KeySet, TrustRecord

FILE = "trust.json"
MAX_ROOT_BYTES = 64 * 1024
MAX_KEPT_BYTES = 4 * 1024 * 1024
FORMAT = 1


def installed(trust: Sequence[Path], customer: Sequence[Path]) -> Trust:
    """What the operator has installed; TrustError where a file is not as it must be."""
    theirs = tuple(TrustedKey.from_file(path).raw for path in customer)
    roots = [path for path in trust if path.suffix == ".json"]
    if not roots:
        keys = tuple(sorted({TrustedKey.from_file(path).raw for path in trust}))
        return Trust(KeySet(keys, 1), customer=theirs)
    if len(trust) > 1:
        raise TrustError(f"{roots[0]}: expected no other --trust beside root metadata")
    record = _root_record(roots[0])
    return Trust(record.targets, record, customer=theirs)


def opened(trust: Trust, store: Store) -> tuple[Trust, list[str]]:
    """The trust after the records that were kept; why, in words, if some don't follow."""
    try:
        data = store.read_beside(FILE, MAX_KEPT_BYTES + 1)
        kept = [] if data is None else _from_document(json.loads(data))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        return trust, [f"{store.folder / FILE}: {type(error).__name__} {error}"[:500]]
    for signed in kept:
        try:
            trust = trust.after(signed)
        except TrustRecordError as error:
            return trust, [f"{store.folder / FILE}: {error}"]
    return trust, []


def keep(trust: Trust, store: Store) -> None:
    """Write the records down, all or none; OSError where the disk refuses."""
    entries = [_entry(signed) for signed in trust.followed]
    document = {"format": FORMAT, "records": entries}
    store.write_beside(FILE, json.dumps(document, indent=1).encode())


def _root_record(path: Path) -> TrustRecord:
    """What root metadata say about keys; TrustError if that can't be read."""
    try:
        data = own_files.read(path, MAX_ROOT_BYTES + 1)
        if len(data) > MAX_ROOT_BYTES:
            raise ValueError(f"larger than {MAX_ROOT_BYTES} bytes")
        signed = json.loads(data)["signed"]
        if signed["_type"] != "root":
            raise ValueError(f"metadata of type {signed['_type']!r:.40}")
        record = TrustRecord(signed["version"], _keys(signed, "root"), _keys(signed, "targets"))
        record.signed_bytes()
    except OSError as error:
        raise TrustError(f"{path}: {error.strerror}; expected root metadata") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        found = f"{type(error).__name__} {error}"[:200]
        raise TrustError(f"{path}: {found}; expected root metadata (root.json)") from error
    return record


def _keys(signed: Mapping[str, Any], role: str) -> KeySet:
    named = signed["roles"][role]
    keys = [signed["keys"][name] for name in named["keyids"]]
    for key in keys:
        if key["keytype"] != "ed25519":
            raise ValueError(f"a key of type {key['keytype']!r:.40}, expected ed25519")
    raw = sorted({bytes.fromhex(key["keyval"]["public"]) for key in keys})
    return KeySet(tuple(raw), named["threshold"])


def _entry(signed: SignedRecord) -> dict[str, Any]:
    record = signed.record
    return {
        "version": record.version,
        "root": [record.root.threshold, [key.hex() for key in record.root.keys]],
        "targets": [record.targets.threshold, [key.hex() for key in record.targets.keys]],
        "signatures": [[one.key_id, one.signature] for one in signed.signatures],
    }


def _from_document(document: Any) -> list[SignedRecord]:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r:.40}, expected {FORMAT}")
    return [
        SignedRecord(
            TrustRecord(entry["version"], _key_set(entry["root"]), _key_set(entry["targets"])),
            tuple(Signature(str(key), str(value)) for key, value in entry["signatures"]),
        )
        for entry in document["records"]
    ]


def _key_set(entry: Any) -> KeySet:
    threshold, keys = entry
    return KeySet(tuple(bytes.fromhex(key) for key in keys), threshold)
