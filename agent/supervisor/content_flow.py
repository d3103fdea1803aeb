"""A Channel File's way through the sensor: received → verified → trial → active → accepted.

This module owns the decision about what is in force. It checks size, hash and signature before
anything is parsed, lets one file at a time be tried by an evaluator, commits the manifest before
the new set takes over, and goes back to last known good when a set kills its evaluator. All
outcomes are said to the link, with reasons.
"""

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent.channel import Message
from agent.deaths import Decision
from agent.lifecycle import Event, State
from agent.supervisor.evaluators import FileSet, LoadedFile
from agent.supervisor.limits import LIMITS
from agent.supervisor.manifest import Manifest, StoredFile
from agent.supervisor.signature import TrustedKey
from agent.supervisor.store import Store

Problem = Mapping[str, str]
Say = Callable[[str, State, Sequence[Problem]], None]


class RefusedError(Exception):
    """A payload is refused before anybody parses it; `problem` says why."""

    def __init__(self, reason: str, found: str, expected: str) -> None:
        self.problem = problem(reason, "", found, expected)
        super().__init__(reason)


def problem(reason: str, place: str, found: str, expected: str) -> dict[str, str]:
    """A reason why content was refused, as it travels to the link."""
    return {"reason": reason, "place": place, "found": found, "expected": expected}


@dataclass(slots=True)
class ContentFlow:
    """All Channel Files of this sensor.

    say: tells the link about a payload's new state.
    """

    store: Store
    trusted: Sequence[TrustedKey]
    probation_seconds: float
    say: Say
    clock: Callable[[], float] = time.monotonic
    waiting: deque[StoredFile] = field(default_factory=deque)
    on_trial: StoredFile | None = None
    degraded: bool = False
    uncommitted: bool = False
    _accept_at: dict[str, float] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest:
        """What is in force."""
        return self.store.manifest

    def open(self) -> list[str]:
        """Read the store; what had to be left out is returned in words."""
        said = self.store.open(self._still_trusted)
        for content_hash in self.manifest.probation():
            self._accept_at[content_hash] = self.clock() + self.probation_seconds
        return said

    def wanted(self) -> FileSet:
        """The set of files that evaluators should run; none while degraded."""
        return frozenset() if self.degraded else self._loaded(self.manifest)

    def active_version(self, template_type: int) -> int:
        """The version in force of a Template Type's Channel File, 0 if there is none."""
        file = self.manifest.active.get(template_type)
        return file.version if file else 0

    def candidate_set(self) -> tuple[FileSet, LoadedFile] | None:
        """The set for the next trial, and the file on trial in it; None if nothing waits."""
        if self.on_trial is not None or not self.waiting:
            return None
        self.on_trial = self._step(self.waiting.popleft(), Event.TRIAL_STARTED)
        tried = _loaded(self.on_trial)
        others = {file for file in self.wanted() if file.template_type != tried.template_type}
        return frozenset({*others, tried}), tried

    def receive(self, message: Message) -> None:
        """A payload from the link: size, hash, quarantine, signature; then it waits for trial."""
        content_hash = str(message["hash"])
        file = StoredFile(
            hash=content_hash,
            template_type=message["template_type"],
            version=0,
            key_id=message["key_id"],
            signature=message["signature"],
            state=State.RECEIVED,
        )
        try:
            payload = _payload(message)
            if self._known(file):
                return
            self._require_welcome(file)
            self._require_trusted(file, payload)
            self.store.add_payload(content_hash, payload)
        except RefusedError as refused:
            self.say(content_hash, State.REJECTED, [refused.problem])
            return
        except OSError as error:
            self.say(content_hash, State.REJECTED, [_store_failed(error)])
            return
        self.waiting.append(self._step(file, Event.SIGNATURE_GOOD))

    def passed(self, version: int) -> None:
        """The file on trial has passed: it is active, on probation."""
        if self.on_trial is None:
            return
        file = replace(self.on_trial.after(Event.TRIAL_PASSED), version=version)
        try:
            self.store.commit(self.manifest.activate(file), self._kept())
        except OSError as error:
            self.rejected([_store_failed(error)])
            return
        self.on_trial = None
        self.degraded = False
        self.say(file.hash, file.state, [])
        self._accept_at[file.hash] = self.clock() + self.probation_seconds

    def rejected(self, problems: Sequence[Problem]) -> None:
        """The file on trial has failed."""
        if self.on_trial is not None:
            self._step(self.on_trial, Event.REFUSED, problems)
            self.on_trial = None

    def accept_due(self) -> bool:
        """End the probation of files that have behaved; whether any was accepted."""
        now = self.clock()
        due = [h for h, at in self._accept_at.items() if now >= at]
        for content_hash in due:
            del self._accept_at[content_hash]
        accepted = self.manifest.probation() & set(due)
        if accepted:
            self._commit(self.manifest.accept(accepted))
            for content_hash in sorted(accepted):
                self.say(content_hash, State.ACCEPTED, [])
        return bool(accepted)

    def blame(self, decision: Decision, reason: str) -> None:
        """Give up the files that a decision names; the versions before them are in force again."""
        manifest = self.manifest
        for content_hash in decision.hashes:
            manifest = manifest.give_up(
                content_hash, Event.BLAMED, reason, decision.suspect_instance
            )
        self._commit(manifest)
        found = f"{reason} at instance {decision.suspect_instance or 'unknown'}"
        for content_hash in decision.hashes:
            cause = problem("EVALUATOR_DIED", "", found, "an evaluator that stays alive")
            self.say(content_hash, State.QUARANTINED, [cause])

    def degrade(self) -> None:
        """Evaluators die without a suspect: first last known good, then no content at all."""
        good = self.manifest.last_known_good()
        if good == self.manifest:
            self.degraded = True
        else:
            self._commit(good)

    def revoke(self, message: Message) -> None:
        """A signed order to give up a payload."""
        content_hash = str(message["hash"])
        try:
            key = self._key(message["key_id"])
            good = key.signed_revocation(
                bytes.fromhex(content_hash), bytes.fromhex(message["signature"])
            )
        except (RefusedError, ValueError):
            good = False
        if not good:
            cause = problem(
                "SIGNATURE_INVALID", "revocation", "no good signature", "a signed order"
            )
            current = self._current(content_hash)
            self.say(content_hash, current.state if current else State.REJECTED, [cause])
            return
        self._withdraw(content_hash, str(message["reason"]))

    def _withdraw(self, content_hash: str, reason: str) -> None:
        revoked = problem("REVOKED", "", reason, "")
        for file in [f for f in self.waiting if f.hash == content_hash]:
            self.waiting.remove(file)
            self._step(file, Event.REVOKED, [revoked])
        if self.on_trial is not None and self.on_trial.hash == content_hash:
            self._step(self.on_trial, Event.REVOKED, [revoked])
            self.on_trial = None
        if self._current(content_hash) is not None:
            self._commit(self.manifest.give_up(content_hash, Event.REVOKED, "REVOKED", ""))
        self.say(content_hash, State.ROLLED_BACK, [revoked])

    def retry_commit(self) -> None:
        """What could not be written for want of room or the like is tried again."""
        if self.uncommitted:
            self._commit(self.manifest)

    def _commit(self, manifest: Manifest) -> None:
        """Put a manifest in force, even where the disk refuses: protection comes first."""
        try:
            self.store.commit(manifest, self._kept())
            self.uncommitted = False
        except OSError:
            self.store.manifest = manifest
            self.uncommitted = True

    def _kept(self) -> frozenset[str]:
        """Payloads that no manifest names yet."""
        return frozenset(f.hash for f in [*self.waiting, *filter(None, [self.on_trial])])

    def _current(self, content_hash: str) -> StoredFile | None:
        active = self.manifest.active.values()
        return next((file for file in active if file.hash == content_hash), None)

    def _known(self, file: StoredFile) -> bool:
        """Content that is here already needs no second trial; its state is said again."""
        known = [*self.manifest.active.values(), *self.waiting, *filter(None, [self.on_trial])]
        for one in known:
            if one.hash == file.hash:
                self.say(one.hash, one.state, [])
                return True
        return False

    def _require_welcome(self, file: StoredFile) -> None:
        refused = self.manifest.refusal(file.hash)
        if refused is not None:
            raise RefusedError(str(refused.state).upper(), refused.reason, "other content")
        if file.template_type <= 0:
            raise RefusedError("UNKNOWN_TEMPLATE_TYPE", str(file.template_type), "a number above 0")
        if len(self.waiting) >= LIMITS.pending_content:
            raise RefusedError("TOO_MANY_WAITING", str(len(self.waiting)), "fewer files at once")

    def _require_trusted(self, file: StoredFile, payload: bytes) -> None:
        key = self._key(file.key_id)
        try:
            signature = bytes.fromhex(file.signature)
        except ValueError:
            signature = b""
        if not key.signed_channel_file(payload, signature):
            raise RefusedError("SIGNATURE_INVALID", "a signature that is not good", "a good one")

    def _key(self, key_id: str) -> TrustedKey:
        for key in self.trusted:
            if key.key_id == key_id:
                return key
        raise RefusedError("UNKNOWN_KEY", f"key {key_id:.64}", "the trusted key of this sensor")

    def _still_trusted(self, file: StoredFile, payload: bytes) -> bool:
        try:
            self._require_trusted(file, payload)
        except RefusedError:
            return False
        return True

    def _step(self, file: StoredFile, event: Event, problems: Sequence[Problem] = ()) -> StoredFile:
        after = file.after(event)
        self.say(after.hash, after.state, problems)
        return after

    @staticmethod
    def _loaded(manifest: Manifest) -> FileSet:
        return frozenset(_loaded(file) for file in manifest.active.values())


def _loaded(file: StoredFile) -> LoadedFile:
    return LoadedFile(file.hash, file.template_type)


def _store_failed(error: OSError) -> Problem:
    return problem("STORE_FAILED", "", error.strerror or "an error", "room in the state folder")


def _payload(message: Message) -> bytes:
    """Read the payload behind the message's only descriptor; closes all descriptors."""
    try:
        if len(message.descriptors) != 1:
            raise RefusedError("NO_PAYLOAD", f"{len(message.descriptors)} descriptors", "one")
        descriptor = message.descriptors[0]
        size = os.fstat(descriptor).st_size
        if not 0 < size <= LIMITS.payload_bytes:
            raise RefusedError(
                "EMPTY_FILE" if size == 0 else "FILE_TOO_LARGE",
                f"{size} bytes",
                f"1 to {LIMITS.payload_bytes} bytes",
            )
        payload = os.pread(descriptor, size, 0)
    finally:
        for descriptor in message.descriptors:
            os.close(descriptor)
    found = hashlib.sha256(payload).hexdigest()
    if found != message["hash"]:
        raise RefusedError("HASH_MISMATCH", found, str(message["hash"]))
    return payload


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
