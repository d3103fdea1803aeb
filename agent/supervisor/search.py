"""Which Channel File do evaluators die of before they have seen any event? Pure.

Files that were accepted long ago may kill every evaluator that loads them: another release of the
sensor, less memory. No event and no instance is named then. So sets of files are tried, by the
next evaluators themselves, and what is known to load stays in force meanwhile:

    1. without any file, to see that it is content at all; nobody is put to work with that
    2. what is known to load, and one group more: it loads, and all of it is known to; or it kills,
       and each half is a group of its own
    3. a single file that kills twice is given up; the version before it is another file to try

A pair that only kills together costs the second one of it. Each step rules something out, so the
search has an end. SIGKILLs from outside count as well: the kernel ends in that way who takes too
much memory.
"""

from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

DEATHS_OF_A_FILE_ALONE = 2

Group = tuple[str, ...]


@dataclass(slots=True)
class Search:
    """Files are content hashes. good: known to load together. `sound`: so is no file at all."""

    good: frozenset[str] = frozenset()
    sound: bool = False
    groups: deque[Group] = field(default_factory=deque)
    _deaths: int = 0

    @classmethod
    def of(cls, files: AbstractSet[str]) -> "Search":
        """A search among all that is in force, which kills as a whole."""
        return cls(groups=deque(_halves(tuple(sorted(files)))))

    def wanted(self, in_force: AbstractSet[str]) -> frozenset[str]:
        """What the next evaluator is to load, of all that is in force now."""
        self._follow(in_force)
        if not self.sound or not self.groups:
            return self.good
        return self.good | set(self.groups[0])

    @property
    def over(self) -> bool:
        """Whether everything in force is known to load."""
        return self.sound and not self.groups

    def loaded(self, files: AbstractSet[str]) -> None:
        """An evaluator has loaded these: they are known to."""
        self._deaths = 0
        if not self.sound:
            self.sound = not files
        elif self.groups and files == self.good | set(self.groups[0]):
            self.good |= set(self.groups.popleft())

    def died(self, files: AbstractSet[str]) -> str | None:
        """An evaluator has died on these: the file to be given up, "" for none.

        None ends the search: they die without any file as well, and it is not content's doing.
        """
        self._deaths += 1
        if not self.sound:
            return None if not files and self._deaths >= DEATHS_OF_A_FILE_ALONE else ""
        if not self.groups or files != self.good | set(self.groups[0]):
            return ""
        if len(self.groups[0]) > 1:
            self._deaths = 0
            self.groups.extendleft(reversed(_halves(self.groups.popleft())))
            return ""
        if self._deaths < DEATHS_OF_A_FILE_ALONE:
            return ""
        self._deaths = 0
        return self.groups.popleft()[0]

    def _follow(self, in_force: AbstractSet[str]) -> None:
        """Files that came are groups of their own; those that went are forgotten."""
        self.good = frozenset(self.good & in_force)
        kept = [tuple(one for one in group if one in in_force) for group in self.groups]
        self.groups = deque(group for group in kept if group)
        known = self.good.union(*self.groups)
        self.groups.extend((one,) for one in sorted(in_force - known))


def _halves(group: Group) -> list[Group]:
    middle = len(group) // 2
    return [half for half in (group[:middle], group[middle:]) if half]
