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
    StoredFile,
)

FORMAT = 2
FORMAT_WITHOUT_INSTANCES = 1
"""Written by earlier releases; read as one without instances in quarantine, and without times."""

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
    }


def from_document(document: Any) -> Manifest:
    """Read a stored manifest back; ManifestError unless it is just what `to_document` writes.

    One of the format before is read as well, and written in this one with the next change.
    """
    known = (FORMAT, FORMAT_WITHOUT_INSTANCES)
    number = document.get("format") if isinstance(document, dict) else None
    if type(number) is not int or number not in known:
        raise ManifestError(f"expected a manifest of format {FORMAT}")
    try:
        if number == FORMAT_WITHOUT_INSTANCES:
            document = _renewed(document)
        active = [_file(entry, IN_FORCE) for entry in document["active"]]
        previous: dict[int, tuple[StoredFile, ...]] = {}
        for entry in document["previous"]:
            file = _file(entry, frozenset({State.SUPERSEDED}))
            previous[file.template_type] = (*previous.get(file.template_type, ()), file)
        quarantine = tuple(_quarantined(entry) for entry in document["quarantine"])
        instances = tuple(_instance(entry) for entry in document["instances"])
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"damaged manifest: {type(error).__name__} {error}") from error
    in_force = {file.template_type: file for file in active}
    manifest = Manifest(in_force, previous, quarantine, instances)
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
        "key_id": file.key_id,
        "signature": file.signature,
        "state": file.state,
    }


def _file(entry: Any, states: frozenset[State]) -> StoredFile:
    return StoredFile(
        hash=_matching(_HASH, entry["hash"]),
        template_type=_count(entry["template_type"]),
        version=_count(entry["version"]),
        key_id=_matching(_HASH, entry["key_id"]),
        signature=_matching(_SIGNATURE, entry["signature"]),
        state=_state(entry["state"], states),
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


def _renewed(document: dict[str, Any]) -> dict[str, Any]:
    """A document of the format before in the format of today."""
    if "instances" in document:
        raise ValueError("instances in the format without them")
    quarantine = []
    for entry in document["quarantine"]:
        if not isinstance(entry, dict) or entry.keys() & {"since", "deaths"}:
            raise ValueError("times in the format without them")
        quarantine.append({**entry, "since": 0, "deaths": 0})
    return {**document, "format": FORMAT, "quarantine": quarantine, "instances": []}


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
