"""Prevention on this host: the policy, and what the kernel prevents by itself. Level-triggered.

`reconcile` compares what should be in the kernel's table with what is there:

    policy off, or nobody works on content that is in force  → nothing
    an evaluator works                                       → the paths that its content names
    the worker has died, its successor gets the same content → what the worker's content named

An evaluator is not trusted: protected paths of its list are left out and named in the status. The
policy is a file in the state folder, so that it outlives a restart; one that can't be read counts
as off, because whoever has switched prevention off must be able to rely on it.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agent.supervisor.evaluator_process import Evaluator, FileSet
from agent.supervisor.kernel_table import KernelTable
from agent.supervisor.limits import LIMITS
from agent.supervisor.log import Log
from agent.supervisor.protected import Protected
from agent.supervisor.rings import Collection
from agent.supervisor.store import Store
from content.prevention_table import MAP_NAME, Entry

POLICY_FILE = "prevention.json"
MAX_POLICY_BYTES = 1024


Command = Callable[[Mapping[str, Any]], dict[str, Any]]


class Policy(StrEnum):
    """Whether this host's owner lets the sensor prevent anything."""

    ON = "on"
    OFF = "off"


@dataclass(slots=True)
class Prevention:
    """The switch, and the kernel's table of the running collection."""

    store: Store
    log: Log
    sensor: int
    protected: Protected = field(default_factory=Protected)
    policy: Policy = Policy.ON
    refused: dict[str, str] = field(default_factory=dict)
    _table: KernelTable | None = None
    _epoch: str = ""
    _published: tuple[Entry, ...] = ()
    _worked: tuple[FileSet, tuple[Entry, ...]] = (frozenset(), ())
    # By the tables of earlier collections.
    _stopped_before: Counter[Entry] = field(default_factory=Counter)

    def open(self, wanted: Policy | None) -> None:
        """Take the policy from the command line, or else from the state folder."""
        if wanted is not None:
            self.switch(wanted, "the command line")
            return
        try:
            data = self.store.read_beside(POLICY_FILE, MAX_POLICY_BYTES)
            if data is not None:
                self.policy = Policy(json.loads(data)["prevention"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.policy = Policy.OFF
            self.log.say("prevention", policy=self.policy, because=f"{POLICY_FILE}: {error!r:.200}")

    def switch(self, policy: Policy, who: str) -> None:
        """Change the policy at once, and for good."""
        self.policy = policy
        if policy is Policy.OFF:
            self._publish(())
        self.log.say("prevention", policy=policy, by=who)
        try:
            self.store.write_beside(POLICY_FILE, json.dumps({"prevention": policy}).encode())
        except OSError as error:
            self.log.say("prevention", policy=policy, only_until_restart=error)

    def commands(self) -> dict[str, Command]:
        """For the control socket, which answers this host's owner only."""
        return {"prevention": self.ordered}

    def ordered(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Switch to `policy`, if the request has one; how prevention is."""
        wanted = request.get("policy", self.policy)
        if wanted not in list(Policy):
            return {"error": "UNKNOWN_POLICY", "found": f"{wanted!r:.80}"}
        if wanted != self.policy:
            self.switch(Policy(wanted), "the control socket")
        return self.document()

    def reconcile(
        self, collection: Collection | None, worker: Evaluator | None, wanted: FileSet
    ) -> None:
        """Take the next step; `wanted` is the content that is in force."""
        self._follow(collection)
        if worker is not None:
            self._worked = (worker.files, worker.prevented)
        files, entries = self._worked
        in_force = worker is not None or files == wanted
        self._publish(entries if in_force and self.policy is Policy.ON else ())

    def document(self) -> dict[str, Any]:
        """For the status."""
        table = self._table
        return {
            "policy": str(self.policy),
            "kernel": table is not None,
            "kernel_paths": len(table.entries) if table else 0,
            "kernel_stopped": {_shown(one): count for one, count in self._stopped().items()},
            "kernel_spared": table.spared if table else 0,
            "kernel_raced": table.raced if table else 0,
            "refused": dict(self.refused),
        }

    @property
    def stopped(self) -> int:
        """How many programs the kernel has stopped."""
        return sum(self._stopped().values())

    def close(self) -> None:
        """The sensor ends, or its collection: prevent nothing any more."""
        if self._table is None:
            return
        self._table.close()
        self._stopped_before += self._table.stopped
        self._table, self._epoch, self._published = None, "", ()

    def _stopped(self) -> Counter[Entry]:
        return self._stopped_before + (self._table.stopped if self._table else Counter())

    def _follow(self, collection: Collection | None) -> None:
        """Hold the table of the collection that runs."""
        epoch = collection.epoch if collection is not None and collection.complete else ""
        if epoch == self._epoch:
            return
        self.close()
        self._epoch = epoch
        descriptor = collection.shared.get(MAP_NAME) if collection is not None and epoch else None
        if descriptor is None:
            return
        try:
            self._table = KernelTable(descriptor, self.sensor)
        except (OSError, ValueError) as error:
            self.log.say("prevention", without_the_kernel=error)

    def _publish(self, entries: tuple[Entry, ...]) -> None:
        if self._table is None or entries == self._published:
            return
        allowed = [one for one in entries if not self.protected.is_protected(one.path)]
        self.refused = {_shown(one): "PROTECTED_PATH" for one in set(entries) - set(allowed)}
        no_room = self._table.publish(allowed)
        self.refused |= {_shown(one): "NO_ROOM" for one in no_room}
        self._published = entries
        self.log.say("prevention", kernel_paths=len(allowed) - len(no_room))
        for path, reason in self.refused.items():
            self.log.say("not prevented by the kernel", path=path, reason=reason)


def _shown(entry: Entry) -> str:
    path = entry.path.decode("utf-8", "backslashreplace")
    return f"{entry.compared.name.lower()} {path}"[: LIMITS.shown_path_characters]
