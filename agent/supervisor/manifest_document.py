"""The manifest as it lies on disk: JSON values out, and back in only what was written so. Pure."""

import re
from dataclasses import asdict
from typing import Any

from agent.lifecycle import FINAL, State
from agent.supervisor.manifest import (
    IN_FORCE,
    Manifest,
    Quarantined,
    QuarantinedInstance,
    Signature,
    StoredFile,
)

FORMAT = 3
FORMAT_WITH_ONE_SIGNATURE = 2
"""Written by earlier releases; read as one with a signature by one key, and without orders."""
FORMAT_WITHOUT_INSTANCES = 1
"""Written before that; read as one without instances in quarantine, and without times, as well."""

_HASH = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")


class ManifestError(Exception):
    """The document is not a manifest of ours; says what was found and expected."""


def to_document(manifest: Manifest) -> dict[str, Any]:
    """The manifest as it is stored (JSON values only)."""
    return {
        "format": FORMAT,
        "active": [_file_document(file) for file in manifest.active.values()],
        "previous": [_file_document(f) for files in manifest.previous.values() for f in files],
        "quarantine": [asdict(one) for one in manifest.quarantine],
        "instances": [asdict(one) for one in manifest.instances],
        "orders": list(manifest.orders),
    }


def from_document(document: Any) -> Manifest:
    """Read a stored manifest back; ManifestError unless it is just what `to_document` writes.

    One of an earlier format is read as well, and written in this one with the next change.
    """
    known = (FORMAT, FORMAT_WITH_ONE_SIGNATURE, FORMAT_WITHOUT_INSTANCES)
    number = document.get("format") if isinstance(document, dict) else None
    if type(number) is not int or number not in known:
        raise ManifestError(f"expected a manifest of format {FORMAT}")
    try:
        if number == FORMAT_WITHOUT_INSTANCES:
            document = _with_instances(document)
        if number != FORMAT:
            document = _with_signatures(document)
        active = [_file(entry, IN_FORCE) for entry in document["active"]]
        previous: dict[int, tuple[StoredFile, ...]] = {}
        for entry in document["previous"]:
            file = _file(entry, frozenset({State.SUPERSEDED}))
            previous[file.template_type] = (*previous.get(file.template_type, ()), file)
        quarantine = tuple(_quarantined(entry) for entry in document["quarantine"])
        instances = tuple(_instance(entry) for entry in document["instances"])
        orders = tuple(_matching(_HASH, entry) for entry in document["orders"])
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"damaged manifest: {type(error).__name__} {error}") from error
    in_force = {file.template_type: file for file in active}
    manifest = Manifest(in_force, previous, quarantine, instances, orders)
    if len({one.digest for one in instances}) != len(instances) > 0:
        raise ManifestError("damaged manifest: an instance is quarantined twice")
    if to_document(manifest) != document:
        raise ManifestError("damaged manifest: members or entries too many")
    return manifest


def _file_document(file: StoredFile) -> dict[str, Any]:
    return {
        "hash": file.hash,
        "template_type": file.template_type,
        "version": file.version,
        "signatures": [asdict(one) for one in file.signatures],
        "state": file.state,
    }


def _file(entry: Any, states: frozenset[State]) -> StoredFile:
    return StoredFile(
        hash=_matching(_HASH, entry["hash"]),
        template_type=_count(entry["template_type"]),
        version=_count(entry["version"]),
        signatures=tuple(_signature(one) for one in entry["signatures"]),
        state=_state(entry["state"], states),
    )


def _signature(entry: Any) -> Signature:
    return Signature(
        key_id=_matching(_HASH, entry["key_id"]),
        signature=_matching(_SIGNATURE, entry["signature"]),
    )


def _quarantined(entry: Any) -> Quarantined:
    return Quarantined(
        hash=_matching(_HASH, entry["hash"]),
        template_type=_count(entry["template_type"]),
        version=_count(entry["version"]),
        state=_state(entry["state"], FINAL),
        reason=str(entry["reason"]),
        instance=str(entry["instance"]),
        since=_count(entry["since"]),
        deaths=_count(entry["deaths"]),
    )


def _instance(entry: Any) -> QuarantinedInstance:
    return QuarantinedInstance(
        digest=_matching(_HASH, entry["digest"]),
        instance=str(entry["instance"]),
        template_type=_count(entry["template_type"]),
        file=_matching(_HASH, entry["file"]),
        reason=str(entry["reason"]),
        since=_count(entry["since"]),
        deaths=_count(entry["deaths"]),
    )


def _with_signatures(document: dict[str, Any]) -> dict[str, Any]:
    """A document of the format with one signature in the format of today."""
    if "orders" in document:
        raise ValueError("orders in the format without them")
    files = {name: list(map(_signed_once, document[name])) for name in ("active", "previous")}
    return {**document, **files, "format": FORMAT, "orders": []}


def _signed_once(entry: dict[str, Any]) -> dict[str, Any]:
    names = ("key_id", "signature")
    others = {name: value for name, value in entry.items() if name not in names}
    return {**others, "signatures": [{name: entry[name] for name in names}]}


def _with_instances(document: dict[str, Any]) -> dict[str, Any]:
    """A document of the first format in the second one."""
    if "instances" in document:
        raise ValueError("instances in the format without them")
    quarantine = []
    for entry in document["quarantine"]:
        if not isinstance(entry, dict) or entry.keys() & {"since", "deaths"}:
            raise ValueError("times in the format without them")
        quarantine.append({**entry, "since": 0, "deaths": 0})
    renewed = {"quarantine": quarantine, "instances": []}
    return {**document, "format": FORMAT_WITH_ONE_SIGNATURE, **renewed}


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{value!r:.80} does not match {pattern.pattern}")
    return value


def _state(value: Any, expected: frozenset[State]) -> State:
    state = State(value)
    if state not in expected:
        raise ValueError(f"state {state}, expected {' or '.join(sorted(expected))}")
    return state


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.80} is not a count")
    return value


def active_documents(manifest: Manifest) -> list[dict[str, Any]]:
    """What is in force, as the link and the status show it."""
    return [
        {
            "template_type": file.template_type,
            "version": file.version,
            "hash": file.hash,
            "state": str(file.state),
        }
        for _, file in sorted(manifest.active.items())
    ]
