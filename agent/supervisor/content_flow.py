"""A Channel File's way through the sensor: received → verified → trial → active → accepted.

This module owns the decision about what is in force. It checks size, hash and signature before
anything is parsed, lets one file at a time be tried by an evaluator, commits the manifest before
the new set takes over, and goes back to last known good when a set kills its evaluator. All
outcomes are said to the link, with reasons.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from agent.channel import Message
from agent.deaths import Decision
from agent.lifecycle import Event, State
from agent.supervisor import payload as payloads
from agent.supervisor import trust_files
from agent.supervisor.evaluator_process import FileSet, LoadedFile
from agent.supervisor.limits import LIMITS
from agent.supervisor.manifest import Manifest, StoredFile
from agent.supervisor.payload import Problem, RefusedError, problem
from agent.supervisor.rollback import carried_out, refusal, told_order
from agent.supervisor.store import Store
from agent.supervisor.trust import Trust, signatures_of
from agent.supervisor.working_set import WorkingSet, loaded_file
from content.signing_domains import RollbackOrder

Say = Callable[[str, State, Sequence[Problem]], None]


@dataclass(slots=True)
class ContentFlow:
    """All Channel Files of this sensor.

    trust: whose signatures count. say: tells the link about a payload's new state. group: the one
    of hosts that this one belongs to. working: what evaluators should run of what is in force.
    """

    store: Store
    trust: Trust
    probation_seconds: float
    say: Say
    group: str = ""
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    waiting: deque[StoredFile] = field(default_factory=deque)
    on_trial: StoredFile | None = None
    uncommitted: bool = False
    # Instances of files in force that an evaluator has skipped, and why: by hash, then by id.
    skipped: dict[str, dict[str, Problem]] = field(default_factory=dict)
    _accept_at: dict[str, float] = field(default_factory=dict)
    _commit_again_at: float = 0.0
    working: WorkingSet = field(init=False)

    def __post_init__(self) -> None:
        self.working = WorkingSet(self.store, self.clock)

    @property
    def manifest(self) -> Manifest:
        """What is in force."""
        return self.store.manifest

    def open(self) -> list[str]:
        """Read the store; what had to be left out is returned in words."""
        self.trust, said = trust_files.opened(self.trust, self.store)
        said += self.store.open(self._still_trusted)
        for content_hash in self.manifest.probation():
            self._accept_at[content_hash] = self.clock() + self.probation_seconds
        return said

    def active_version(self, template_type: int) -> int:
        """The version in force of a Template Type's Channel File, 0 if there is none."""
        file = self.manifest.active.get(template_type)
        return file.version if file else 0

    def types_in_force(self) -> set[int]:
        """Template Types of the files in force, and of those that would be without probation."""
        return {*self.manifest.active, *self.manifest.last_known_good().active}

    def types_on_their_way(self) -> set[int]:
        """Template Types of the files that wait, and of the one on trial."""
        return {file.template_type for file in [*self.waiting, *filter(None, [self.on_trial])]}

    def candidate_set(
        self, ready: Callable[[int], bool] = lambda _: True
    ) -> tuple[FileSet, LoadedFile] | None:
        """The set for the next trial, and the file on trial in it; None if nothing waits.

        ready: whether content of a Template Type can be tried already; what can't lets others pass.
        A trial that came to nothing, because its evaluator could not start or its rings went away,
        is held again.
        """
        if self.working.search is not None:
            return None  # Who dies then may have died of another file.
        if self.on_trial is None:
            file = next((one for one in self.waiting if ready(one.template_type)), None)
            if file is None:
                return None
            self.waiting.remove(file)
            self.on_trial = self._step(file, Event.TRIAL_STARTED)
        tried = loaded_file(self.on_trial, self.manifest)
        wanted = self.working.wanted()
        others = {file for file in wanted if file.template_type != tried.template_type}
        return frozenset({*others, tried}), tried

    def receive(self, message: Message) -> None:
        """A payload from the link: size, hash, quarantine, signature; then it waits for trial.

        ProtocolViolationError where the message names no hash at all.
        """
        content_hash = payloads.hash_of(message)
        known = self._known(content_hash)
        if known is not None:
            payloads.close_descriptors(message)
            self._tell(known)
            return
        file = StoredFile(
            hash=content_hash,
            template_type=message["template_type"],
            version=0,
            signatures=signatures_of(message["signatures"]),
            state=State.RECEIVED,
        )
        try:
            payload = payloads.read(message)
            self._require_welcome(file)
            self.trust.require_content(payload, file.signatures)
            self.store.add_payload(content_hash, payload)
        except RefusedError as refused:
            self.say(content_hash, refused.state, [refused.problem])
            return
        except OSError as error:
            self.say(content_hash, State.UNDELIVERED, [_store_failed(error)])
            return
        self.waiting.append(self._step(file, Event.SIGNATURE_GOOD))

    def follow(self, message: Message) -> bool:
        """Take over a trust record that follows; whether it was new.

        TrustRecordError for one that doesn't, OSError where it can't be kept: nothing changes then.
        """
        trust = self.trust.follow(message.fields)
        if trust == self.trust:
            return False
        trust_files.keep(trust, self.store)
        self.trust = trust
        return True

    def passed(self, version: int) -> None:
        """The file on trial has passed: it is active, on probation."""
        if self.on_trial is None:
            return
        file = replace(self.on_trial.after(Event.TRIAL_PASSED), version=version)
        before = self.manifest.active.get(file.template_type)
        if before is not None and version <= before.version:
            newer = f"a version above {before.version}"
            self.rejected([problem("VERSION_NOT_NEWER", "version", str(version), newer)])
            return
        try:
            self.store.commit(self.manifest.activate(file), self._kept())
        except OSError as error:
            self.rejected([_store_failed(error)])
            return
        self.on_trial = None
        self.working.degraded = False
        self._forget_gone()
        if before is not None:
            self.say(before.hash, before.after(Event.REPLACED).state, [])
        self.say(file.hash, file.state, [])
        self._accept_at[file.hash] = self.clock() + self.probation_seconds

    def rejected(self, problems: Sequence[Problem]) -> None:
        """The file on trial has failed."""
        if self.on_trial is not None:
            self._step(self.on_trial, Event.REFUSED, problems)
            self.on_trial = None
            self.store.tidy(self._kept())

    def accept_due(self) -> bool:
        """End the probation of files that have behaved; whether any was accepted."""
        now = self.clock()
        due = [h for h, at in self._accept_at.items() if now >= at]
        for content_hash in due:
            del self._accept_at[content_hash]
        accepted = self.manifest.probation() & set(due)
        if accepted:
            self._commit(self.manifest.accept(accepted))
        return bool(accepted)

    def blame(self, decision: Decision, reason: str) -> None:
        """Give up the files that a decision names; the versions before them are in force again."""
        found = f"{reason} at instance {decision.suspect_instance or 'unknown'}"
        cause = problem("EVALUATOR_DIED", "", found, "an evaluator that stays alive")
        instance, deaths = decision.suspect_instance, decision.deaths
        self._give_up(decision.hashes, Event.BLAMED, reason, instance, cause, deaths)

    def put_in_force(self, manifest: Manifest) -> None:
        """Another quarantine, which is kept even where the disk refuses it for a while."""
        self._commit(manifest)

    def no_longer_skipped(self, template_type: int, instance: str, reason: str) -> None:
        """An instance of the file in force is run again that was skipped for this reason."""
        file = self.manifest.active.get(template_type)
        skipped = self.skipped.get(file.hash, {}) if file else {}
        if file is None or skipped.get(instance, {}).get("reason") != reason:
            return
        del skipped[instance]
        if not skipped:
            del self.skipped[file.hash]
        self._tell(file)

    def degrade(self) -> None:
        """Evaluators die without a suspect: first last known good, then no content for a while."""
        suspects = sorted(self.manifest.probation())
        if suspects:
            cause = problem("EVALUATOR_DIED", "", "no suspect", "an evaluator that stays alive")
            self._give_up(suspects, Event.BLAMED, "DEGRADED", "", cause)
        else:
            self.working.switch_off()

    def due(self, now: float) -> float:
        """When time alone makes the next step due; now, while a file waits or is on trial."""
        if self.waiting or self.on_trial is not None:
            return now
        moments = [*self._accept_at.values(), self.working.due()]
        if self.uncommitted:
            moments.append(self._commit_again_at)
        return min(moments)

    def cannot_serve(self, content_hash: str, problems: Sequence[Problem]) -> None:
        """A file in force needs what this sensor does not supply now: it waits, said aloud."""
        known = self._known(content_hash)
        if known is not None:
            self.working.unserved[content_hash] = problems
            self.say(content_hash, known.state, problems)

    def cannot_collect(self, template_type: int, reason: str, detail: str) -> None:
        """A Template Type can't be had: what waits for it is refused, what is in force waits."""
        found = f"Template Type {template_type}: {reason} {detail}".strip()
        cause = problem("NOT_COLLECTED", "", found, "probes that can be attached")
        for file in [one for one in self.waiting if one.template_type == template_type]:
            self.waiting.remove(file)
            self._step(file, Event.REFUSED, [cause])
            self.store.tidy(self._kept())
        if self.on_trial is not None and self.on_trial.template_type == template_type:
            self.rejected([cause])
        active = self.manifest.active.get(template_type)
        if active is not None and active.hash not in self.working.unserved:
            self.cannot_serve(active.hash, [cause])

    def instance_skipped(self, content_hash: str, instance: str, reason: str, detail: str) -> None:
        """An evaluator skips an instance of a file in force: the rest of the file goes on."""
        files = self.manifest.active.values()
        known = next((file for file in files if file.hash == content_hash), None)
        skipped = self.skipped.setdefault(content_hash, {}) if known else {}
        expected = "an instance that keeps to its checks and budget"
        found = problem(reason, f"instance {instance}", detail, expected)
        full = instance not in skipped and len(skipped) >= LIMITS.skipped_instances
        if known is None or full or skipped.get(instance, {}).get("reason") == reason:
            return
        skipped[instance] = found
        self._tell(known)

    def supply_changed(self) -> None:
        """Another collection may supply what a file in force has been waiting for."""
        self.working.unserved.clear()

    def missing(self, content_hash: str) -> None:
        """A stored payload can't be read any more: the version before it is in force again."""
        cause = problem("STORE_FAILED", "", "a payload that can't be read", "the payload")
        if self.on_trial is not None and self.on_trial.hash == content_hash:
            self.rejected([cause])
        elif content_hash in self.manifest.hashes():
            self._commit(self.manifest.without(content_hash))
            self.say(content_hash, State.REJECTED, [cause])

    def revoke(self, message: Message) -> None:
        """A rollback order; ProtocolViolationError where it names no hash."""
        content_hash = payloads.hash_of(message)
        payloads.close_descriptors(message)
        order = told_order(content_hash, message.fields)
        now, signatures = self.wall(), message["signatures"]
        why = refusal(order, signatures, self.trust, self.manifest, group=self.group, now=now)
        if why is not None:
            self.say(content_hash, self._state(content_hash), [why])
            return
        self._withdraw(order)

    def _withdraw(self, order: RollbackOrder) -> None:
        content_hash = order.content_hash.hex()
        revoked = problem("REVOKED", "", order.reason, "")
        for file in [f for f in self.waiting if f.hash == content_hash]:
            self.waiting.remove(file)
            self._step(file, Event.REVOKED, [revoked])
        if self.on_trial is not None and self.on_trial.hash == content_hash:
            self._step(self.on_trial, Event.REVOKED, [revoked])
            self.on_trial = None
        manifest = carried_out(order, self.manifest, self.wall())
        if manifest != self.manifest:
            self._commit(manifest)
        self.say(content_hash, self._state(content_hash), [revoked])

    def _state(self, content_hash: str) -> State:
        """Where a payload stands, whether it is here or not."""
        file, refused = self._known(content_hash), self.manifest.refusal(content_hash)
        previous = [one for files in self.manifest.previous.values() for one in files]
        earlier = next((one for one in previous if one.hash == content_hash), None)
        found = file or refused or earlier
        return found.state if found else State.UNDELIVERED

    def _give_up(
        self,
        hashes: Iterable[str],
        event: Event,
        reason: str,
        instance: str,
        cause: Problem,
        deaths: int = 0,
    ) -> None:
        """Never run these again, whether they are here or not."""
        manifest = self.manifest
        for content_hash in hashes:
            manifest = manifest.give_up(
                content_hash, event, reason, instance, since=int(self.wall()), deaths=deaths
            )
        if manifest != self.manifest:
            self._commit(manifest)
        for content_hash in hashes:
            refused = manifest.refusal(content_hash)
            self.say(content_hash, refused.state if refused else State.REJECTED, [cause])

    def retry_commit(self) -> None:
        """What could not be written for want of room or the like is tried again."""
        if self.uncommitted and self.clock() >= self._commit_again_at:
            self._commit(self.manifest)

    def _commit(self, manifest: Manifest) -> None:
        """Put a manifest in force, even where the disk refuses: protection comes first."""
        before = self.manifest.active
        try:
            self.store.commit(manifest, self._kept())
            self.uncommitted = False
        except OSError:
            self.store.manifest = manifest
            self.uncommitted = True
            self._commit_again_at = self.clock() + LIMITS.commit_again_seconds
        self._forget_gone()
        for number, file in manifest.active.items():
            if before.get(number) != file:
                self._tell(file)

    def _tell(self, file: StoredFile) -> None:
        """Where a file stands, and which of its instances are skipped."""
        self.say(file.hash, file.state, list(self.skipped.get(file.hash, {}).values()))

    def _forget_gone(self) -> None:
        in_force = {file.hash for file in self.manifest.active.values()}
        for content_hash in self.working.unserved.keys() - in_force:
            del self.working.unserved[content_hash]
        for content_hash in self.skipped.keys() - in_force:
            del self.skipped[content_hash]

    def _kept(self) -> frozenset[str]:
        """Payloads that no manifest names yet."""
        return frozenset(f.hash for f in [*self.waiting, *filter(None, [self.on_trial])])

    def _known(self, content_hash: str) -> StoredFile | None:
        """Content that is here already needs no second trial."""
        known = [*self.manifest.active.values(), *self.waiting, *filter(None, [self.on_trial])]
        return next((file for file in known if file.hash == content_hash), None)

    def _require_welcome(self, file: StoredFile) -> None:
        refused = self.manifest.refusal(file.hash)
        if refused is not None:
            reason = str(refused.state).upper()
            raise RefusedError(reason, refused.reason, "other content", refused.state)
        if not 0 < file.template_type <= LIMITS.template_type:
            raise RefusedError("UNKNOWN_TEMPLATE_TYPE", str(file.template_type), "a number")
        if len(self.waiting) >= LIMITS.pending_content:
            raise RefusedError("TOO_MANY_WAITING", str(len(self.waiting)), "fewer files at once")

    def _still_trusted(self, file: StoredFile, payload: bytes) -> bool:
        return self.trust.is_good(payload, file.signatures)

    def _step(self, file: StoredFile, event: Event, problems: Sequence[Problem] = ()) -> StoredFile:
        after = file.after(event)
        self.say(after.hash, after.state, problems)
        return after


def _store_failed(error: OSError) -> Problem:
    return problem("STORE_FAILED", "", error.strerror or "an error", "room in the state folder")
