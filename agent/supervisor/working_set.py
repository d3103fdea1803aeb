"""Which files evaluators should run: those in force, and when fewer than that.

Without what this sensor can't serve now; only some, while a file is looked for that kills whoever
loads it; none, while content is off. Nothing is given up here: that is for the content flow.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.supervisor.evaluator_process import FileSet, LoadedFile
from agent.supervisor.limits import LIMITS
from agent.supervisor.manifest import Manifest, StoredFile
from agent.supervisor.payload import Problem
from agent.supervisor.search import Search
from agent.supervisor.store import Store


@dataclass(slots=True)
class WorkingSet:
    """Of the manifest in force.

    degraded: whether content is off. search: while a deadly file is looked for. unserved: files in
    force that this rung can't serve, by hash; not given up, for the rung may change.
    """

    store: Store
    clock: Callable[[], float] = time.monotonic
    degraded: bool = False
    search: Search | None = None
    unserved: dict[str, Sequence[Problem]] = field(default_factory=dict)
    _whole_again_at: float = 0.0

    def wanted(self) -> FileSet:
        """The set of files that evaluators should run; none while degraded, fewer in a search."""
        if self.degraded:
            return frozenset()
        files = self._served(self.store.manifest)
        if self.search is None:
            return files
        wanted = self.search.wanted({file.hash for file in files})
        return frozenset(file for file in files if file.hash in wanted)

    def fallback(self) -> FileSet | None:
        """The set that would be in force without the files on probation; None if none is."""
        if self.degraded or not self.store.manifest.probation():
            return None
        return self._served(self.store.manifest.last_known_good())

    def find_deadly(self) -> None:
        """Evaluators die before they are ready: find out of which file."""
        if self.search is None:
            self.search = Search.of({file.hash for file in self.wanted()})

    def known_to_load(self) -> FileSet | None:
        """In a search: the files that did not kill whoever loaded them; None if there is none."""
        if self.search is None or not self.search.good:
            return None
        return frozenset(one for one in self.wanted() if one.hash in self.search.good)

    def loaded(self, files: FileSet) -> None:
        """An evaluator has loaded this set."""
        if self.search is not None:
            self.search.loaded({file.hash for file in files})
            self.wanted()  # It hears of files that are new in force.
            self.search = None if self.search.over else self.search

    def switch_off(self) -> None:
        """No content for a while."""
        self.degraded, self.search = True, None
        self._whole_again_at = self.clock() + LIMITS.degraded_seconds

    def recover_due(self) -> bool:
        """Try the content again that was switched off a while ago; whether it is tried."""
        due = self.clock() >= self.due()
        if due:
            self.degraded = False
        return due

    def due(self) -> float:
        """When content that is off is tried again."""
        return self._whole_again_at if self.degraded else math.inf

    def _served(self, manifest: Manifest) -> FileSet:
        active = manifest.active.values()
        return frozenset(
            loaded_file(file, manifest) for file in active if file.hash not in self.unserved
        )


def loaded_file(file: StoredFile, manifest: Manifest) -> LoadedFile:
    """A file as an evaluator loads it, without the instances that are in quarantine."""
    return LoadedFile(file.hash, file.template_type, manifest.digests(file.template_type))
