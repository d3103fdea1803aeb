"""What content this sensor has, and what it will not run again. Pure: values in, values out.

A `Manifest` is one small document; replacing it atomically (agent.supervisor.store) is what makes
an update happen or not happen, with nothing in between. Payloads are named by their hash only, so
that no path is ever built from content.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from agent.lifecycle import Event, State, next_state
from agent.supervisor.limits import LIMITS

IN_FORCE = frozenset({State.ACTIVE, State.ACCEPTED})


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature and the key that it is said to be by; both in hexadecimal."""

    key_id: str
    signature: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A Channel File on this host: what is known of it without parsing it."""

    hash: str
    template_type: int
    version: int
    signatures: tuple[Signature, ...]
    state: State

    def after(self, event: Event) -> "StoredFile":
        """The same file after something happened to it."""
        return replace(self, state=next_state(self.state, event))


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A payload that will not be run again: its hash, and why.

    since: Unix time in seconds, 0 where it is not known. deaths: of evaluators; 0 if none did.
    """

    hash: str
    template_type: int
    version: int
    state: State
    reason: str
    instance: str
    since: int = 0
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class QuarantinedInstance:
    """A Template Instance that will not be run again, whatever file it comes in.

    digest: hexadecimal (content.instance_digest). file: hash of the one that it was in.
    since: Unix time in seconds. deaths: of evaluators that it accounts for.
    """

    digest: str
    instance: str
    template_type: int
    file: str
    reason: str
    since: int
    deaths: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Active file per Template Type, the ones before it (newest first), and the quarantine.

    instances: in quarantine, each digest once, oldest first. orders: ids of the rollback orders
    that were carried out, oldest first.
    """

    active: Mapping[int, StoredFile] = field(default_factory=lambda: MappingProxyType({}))
    previous: Mapping[int, tuple[StoredFile, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    quarantine: tuple[Quarantined, ...] = ()
    instances: tuple[QuarantinedInstance, ...] = ()
    orders: tuple[str, ...] = ()

    def hashes(self) -> frozenset[str]:
        """Payloads that must be kept on disk."""
        previous = [file for files in self.previous.values() for file in files]
        return frozenset(file.hash for file in [*self.active.values(), *previous])

    def refusal(self, content_hash: str) -> Quarantined | None:
        """Why a payload will not be run, or None."""
        return next((one for one in self.quarantine if one.hash == content_hash), None)

    def digests(self, template_type: int) -> frozenset[str]:
        """Instances of a Template Type that are not to be run."""
        return frozenset(one.digest for one in self.instances if one.template_type == template_type)

    @property
    def has_room(self) -> bool:
        """Whether one more instance may be quarantined."""
        return len(self.instances) < LIMITS.quarantined_instances

    def leave_out(self, one: QuarantinedInstance) -> "Manifest":
        """An instance is quarantined; ValueError where there is no room."""
        others = tuple(other for other in self.instances if other.digest != one.digest)
        if len(others) >= LIMITS.quarantined_instances:
            raise ValueError("no room for another instance")
        return replace(self, instances=(*others, one))

    def lift(self, name: str) -> "Manifest":
        """Without the quarantine of an instance, by its digest, or of a payload, by its hash."""
        return replace(
            self,
            instances=tuple(one for one in self.instances if one.digest != name),
            quarantine=tuple(one for one in self.quarantine if one.hash != name),
        )

    def carried_out(self, order_id: str) -> "Manifest":
        """A rollback order was carried out: it isn't again."""
        return replace(self, orders=(*self.orders, order_id)[-LIMITS.orders :])

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

    def give_up(
        self,
        content_hash: str,
        event: Event,
        reason: str,
        instance: str,
        *,
        since: int = 0,
        deaths: int = 0,
    ) -> "Manifest":
        """Blamed or revoked: back to the version before it, or to none; never run it again.

        event: BLAMED or REVOKED. A payload that is not here (any more) is refused from now on.
        """
        previous = [file for files in self.previous.values() for file in files]
        here = [f for f in [*self.active.values(), *previous] if f.hash == content_hash]
        why = (reason, instance, since, deaths)
        refused = [_refused(file.after(event), *why) for file in here[:1]]
        if not here and self.refusal(content_hash) is None:
            state = next_state(State.SUPERSEDED, event)
            refused = [Quarantined(content_hash, 0, 0, state, *why)]
        quarantine = (*self.quarantine, *refused)[-LIMITS.quarantined :]
        return replace(self.without(content_hash), quarantine=quarantine)

    def not_above(self, template_type: int, version: int) -> "Manifest":
        """Without earlier versions above this one: none of them may be in force again."""
        earlier = self.previous.get(template_type, ())
        kept = tuple(file for file in earlier if file.version <= version)
        return replace(self, previous=_kept({**self.previous, template_type: kept}))

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


def _refused(file: StoredFile, reason: str, instance: str, since: int, deaths: int) -> Quarantined:
    return Quarantined(
        file.hash, file.template_type, file.version, file.state, reason, instance, since, deaths
    )
