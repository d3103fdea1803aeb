"""What differs between two sets of instances: added, removed, and which parts were changed.

Instances are the same one where Template Type and id are. Parts are those that
`content.display.instance_document` shows, and the version of the Template Type they are for.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from content.checking import Checked
from content.display import criterion_text, instance_document
from content.model import ChannelFile, TemplateInstance
from content.template_type import TemplateType

Key = tuple[int, str]
"""Template Type number and id of an instance."""


@dataclass(frozen=True, slots=True)
class ChangedPart:
    """A part of an instance that differs; JSON-ready values, texts escaped."""

    part: str
    old: Any
    new: Any
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of the old content; versions by Template Type, where a Channel File has one."""

    added: tuple[Key, ...]
    removed: tuple[Key, ...]
    changed: Mapping[Key, tuple[ChangedPart, ...]]
    unchanged: int
    versions: Mapping[int, tuple[int | None, int | None]]

    @property
    def is_empty(self) -> bool:
        """Whether both say the same, versions included."""
        same = all(old == new for old, new in self.versions.values())
        return same and not (self.added or self.removed or self.changed)


def difference(old: Checked, new: Checked, types: Mapping[int, TemplateType]) -> Difference:
    """Compare what was read from two places (`content.checking.read_all`)."""
    before, after = _instances(old), _instances(new)
    both = sorted(before.keys() & after.keys())
    changed = {key: parts for key in both if (parts := _parts(before[key], after[key], types))}
    versions_before, versions_after = _versions(old), _versions(new)
    return Difference(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=changed,
        unchanged=len(both) - len(changed),
        versions={
            number: (versions_before.get(number), versions_after.get(number))
            for number in sorted(versions_before.keys() | versions_after.keys())
        },
    )


def _instances(checked: Checked) -> dict[Key, tuple[ChannelFile, TemplateInstance]]:
    files = [*(one.channel_file for one in checked.authored), *checked.packed.values()]
    return {
        (file.template_type.number, instance.id): (file, instance)
        for file in files
        for instance in file.instances
    }


def _versions(checked: Checked) -> dict[int, int]:
    """Versions of packed files; what was put together from YAML has none of its own."""
    return {file.template_type.number: file.version for file in checked.packed.values()}


def _parts(
    old: tuple[ChannelFile, TemplateInstance],
    new: tuple[ChannelFile, TemplateInstance],
    types: Mapping[int, TemplateType],
) -> tuple[ChangedPart, ...]:
    before, after = _document(*old, types), _document(*new, types)
    return tuple(
        ChangedPart(part, before[part], after[part], _lines(before[part], after[part]))
        for part in before
        if before[part] != after[part]
    )


def _document(
    file: ChannelFile, instance: TemplateInstance, types: Mapping[int, TemplateType]
) -> dict[str, Any]:
    reference = file.template_type
    known = types.get(reference.number)
    if known is not None and known.fingerprint != reference.fingerprint:
        known = None
    document: dict[str, Any] = {
        "schema": str(reference.version),
        "fingerprint": reference.fingerprint.hex(),
    }
    document |= instance_document(instance, known)
    document["clauses"] = [
        " and ".join(criterion_text(one, known) for one in clause.criteria)
        for clause in instance.clauses
    ]
    return document


def _lines(old: Any, new: Any) -> tuple[str, ...]:
    """Lines that went, with a minus, and lines that came, with a plus."""
    compared = difflib.ndiff(_texts(old), _texts(new))
    return tuple(line for line in compared if line.startswith(("- ", "+ ")))


def _texts(value: Any) -> Sequence[str]:
    if isinstance(value, list):
        return [str(one) for one in value]
    return [str(value)]
