"""What content this sensor has, and what it will not run again. Pure: values in, values out.

A `Manifest` is one small document; replacing it atomically (agent.supervisor.store) is what makes
an update happen or not happen, with nothing in between. Payloads are named by their hash only, so
that no path is ever built from content.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from agent.lifecycle import FINAL, Event, State, next_state
from agent.supervisor.limits import LIMITS

FORMAT = 1
IN_FORCE = frozenset({State.ACTIVE, State.ACCEPTED})
_HASH = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")


class ManifestError(Exception):
    """The document is not a manifest of ours; says what was found and expected."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A Channel File on this host: what is known of it without parsing it."""

    hash: str
    template_type: int
    version: int
    key_id: str
    signature: str
    state: State

    def after(self, event: Event) -> "StoredFile":
        """The same file after something happened to it."""
        return replace(self, state=next_state(self.state, event))


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A payload that will not be run again: its hash, and why."""

    hash: str
    template_type: int
    version: int
    state: State
    reason: str
    instance: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Active file per Template Type, the ones before it (newest first), and the quarantine."""

    active: Mapping[int, StoredFile] = field(default_factory=lambda: MappingProxyType({}))
    previous: Mapping[int, tuple[StoredFile, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    quarantine: tuple[Quarantined, ...] = ()

    def hashes(self) -> frozenset[str]:
        """Payloads that must be kept on disk."""
        previous = [file for files in self.previous.values() for file in files]
        return frozenset(file.hash for file in [*self.active.values(), *previous])

    def refusal(self, content_hash: str) -> Quarantined | None:
        """Why a payload will not be run, or None."""
        return next((one for one in self.quarantine if one.hash == content_hash), None)

    def probation(self) -> frozenset[str]:
        """Hashes of active files that have not been accepted yet."""
        return frozenset(f.hash for f in self.active.values() if f.state is State.ACTIVE)

    def activate(self, file: StoredFile) -> "Manifest":
        """A file has passed its trial: it is active, the one before it becomes previous."""
        number = file.template_type
        earlier = self.previous.get(number, ())
        replaced = self.active.get(number)
        if replaced is not None and replaced.state is State.ACCEPTED:
            earlier = (replaced.after(Event.REPLACED), *earlier)
        return replace(
            self,
            active={**self.active, number: file},
            previous=_kept({**self.previous, number: earlier[: LIMITS.previous_versions]}),
        )

    def accept(self, hashes: Iterable[str]) -> "Manifest":
        """Probation is over for these: they are last known good."""
        wanted = set(hashes)
        active = {
            number: file.after(Event.PROBATION_OVER) if file.hash in wanted else file
            for number, file in self.active.items()
        }
        return replace(self, active=active)

    def give_up(self, content_hash: str, event: Event, reason: str, instance: str) -> "Manifest":
        """Blamed or revoked: back to the version before it, or to none; never run it again.

        event: BLAMED or REVOKED. A payload that is not here (any more) is refused from now on.
        """
        previous = [file for files in self.previous.values() for file in files]
        here = [f for f in [*self.active.values(), *previous] if f.hash == content_hash]
        refused = [_refused(file.after(event), reason, instance) for file in here[:1]]
        if not here and self.refusal(content_hash) is None:
            state = next_state(State.SUPERSEDED, event)
            refused = [Quarantined(content_hash, 0, 0, state, reason, instance)]
        quarantine = (*self.quarantine, *refused)[-LIMITS.quarantined :]
        return replace(self.without(content_hash), quarantine=quarantine)

    def without(self, content_hash: str) -> "Manifest":
        """Without a payload; where it was active, the version before it is in force again."""
        previous = {
            number: tuple(file for file in files if file.hash != content_hash)
            for number, files in self.previous.items()
        }
        active = {n: file for n, file in self.active.items() if file.hash != content_hash}
        for number in self.active.keys() - active.keys():
            before = previous.get(number, ())
            if before:
                active[number] = before[0].after(Event.RESTORED)
                previous[number] = before[1:]
        return replace(self, active=active, previous=_kept(previous))

    def last_known_good(self) -> "Manifest":
        """Only files that were accepted once."""
        manifest = self
        for content_hash in sorted(self.probation()):
            manifest = manifest.give_up(content_hash, Event.BLAMED, "DEGRADED", "")
        return manifest


def _kept(previous: Mapping[int, tuple[StoredFile, ...]]) -> dict[int, tuple[StoredFile, ...]]:
    return {number: files for number, files in previous.items() if files}


def _refused(file: StoredFile, reason: str, instance: str) -> Quarantined:
    return Quarantined(file.hash, file.template_type, file.version, file.state, reason, instance)


def to_document(manifest: Manifest) -> dict[str, Any]:
    """The manifest as it is stored (JSON values only)."""
    return {
        "format": FORMAT,
        "active": [_file_document(file) for file in manifest.active.values()],
        "previous": [_file_document(f) for files in manifest.previous.values() for f in files],
        "quarantine": [
            {
                "hash": one.hash,
                "template_type": one.template_type,
                "version": one.version,
                "state": one.state,
                "reason": one.reason,
                "instance": one.instance,
            }
            for one in manifest.quarantine
        ],
    }


def from_document(document: Any) -> Manifest:
    """Read a stored manifest back; ManifestError unless it is just what `to_document` writes."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ManifestError(f"expected a manifest of format {FORMAT}")
    try:
        active = [_file(entry, IN_FORCE) for entry in document["active"]]
        previous: dict[int, tuple[StoredFile, ...]] = {}
        for entry in document["previous"]:
            file = _file(entry, frozenset({State.SUPERSEDED}))
            previous[file.template_type] = (*previous.get(file.template_type, ()), file)
        quarantine = tuple(_quarantined(entry) for entry in document["quarantine"])
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"damaged manifest: {type(error).__name__} {error}") from error
    manifest = Manifest({file.template_type: file for file in active}, previous, quarantine)
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
    )


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
