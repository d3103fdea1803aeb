"""Which Definitions were released, so that none changes without its version. Pure.

`content/definitions/released.txt` has one line for each version that ever was, `number name version
digest`, and `number name retired` for a Template Type that is gone. A Definition whose version has
a line must have that line's digest: whoever changes a Definition gives it a new version, and adds
a line. Numbers and names belong together for good; a retired number is never used again.
docs/versioning.md says what is a new major and what a new minor version.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from content.template_type import Field, TemplateType

RETIRED = "retired"
_LINE = re.compile(r"(\d+) ([a-z][a-z0-9_]*) (?:(\d+\.\d+) ([0-9a-f]{64})|(retired))")


@dataclass(frozen=True, slots=True)
class Release:
    """One line: a version of a Template Type with its digest; both are empty if it is retired."""

    number: int
    name: str
    version: str
    digest: str


def digest(template_type: TemplateType) -> str:
    """SHA-256 over all that content, probes and readers rely on; words for people are left out."""
    lines = [f"{template_type.number} {template_type.name}"]
    lines += [_field_line(field) for field in template_type.fields]
    return hashlib.sha256("\n".join(lines).encode("ascii")).hexdigest()


def line(template_type: TemplateType) -> str:
    """The line that releases a Definition as it is."""
    return (
        f"{template_type.number} {template_type.name} {template_type.version} "
        f"{digest(template_type)}"
    )


def parse(text: str) -> list[Release]:
    """The releases in a ledger; ValueError names a line that isn't one."""
    found = []
    for number, written in enumerate(text.splitlines(), start=1):
        if not written or written.startswith("#"):
            continue
        match = _LINE.fullmatch(written)
        if match is None:
            raise ValueError(
                f"line {number}: {written!r:.120}; expected number name version digest"
            )
        found.append(Release(int(match[1]), match[2], match[3] or "", match[4] or ""))
    return found


def disagreements(types: Mapping[int, TemplateType], releases: Sequence[Release]) -> Iterator[str]:
    """What is wrong with the Definitions as they are, in words; nothing if all is in order."""
    yield from _ledger_problems(releases)
    retired = {release.number for release in releases if not release.version}
    for template_type in types.values():
        if template_type.number in retired:
            yield f"{template_type.name}: number {template_type.number} is retired for good"
        yield from _definition_problems(template_type, releases)
    for number, name in {(release.number, release.name): None for release in releases}:
        if number not in types and number not in retired:
            yield f"{name}: has no Definition any more; release it as '{number} {name} {RETIRED}'"


def _definition_problems(template_type: TemplateType, releases: Iterable[Release]) -> Iterator[str]:
    version = str(template_type.version)
    of_version = [
        one for one in releases if one.number == template_type.number and one.version == version
    ]
    if not of_version:
        yield f"{template_type.name}: version {version} is not released; add: {line(template_type)}"
    elif of_version[0].digest != digest(template_type):
        yield f"{template_type.name}: changed since {version} was released; give it a new version"


def _ledger_problems(releases: Sequence[Release]) -> Iterator[str]:
    names: dict[int, str] = {}
    numbers: dict[str, int] = {}
    seen: set[tuple[int, str]] = set()
    for release in releases:
        if names.setdefault(release.number, release.name) != release.name:
            yield f"number {release.number} was {names[release.number]}, never {release.name}"
        if numbers.setdefault(release.name, release.number) != release.number:
            yield f"{release.name} was number {numbers[release.name]}, never {release.number}"
        if (release.number, release.version) in seen:
            yield f"{release.name} {release.version or RETIRED} stands there twice"
        seen.add((release.number, release.version))


def _field_line(field: Field) -> str:
    values = ",".join(f"{name}={number}" for name, number in field.values.items())
    rungs = ",".join(sorted(field.rungs))
    told = "".join(
        f" {number} [{','.join(sorted(supply.rungs))}] {supply.otherwise}"
        for number, supply in sorted(field.value_supply.items())
    )
    return (
        f"{field.number} {field.name} {field.kind} {field.capacity} {int(field.arguments)} "
        f"[{values}] [{rungs}]{told}"
    )
