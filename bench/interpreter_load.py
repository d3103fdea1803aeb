"""Content, events and peers for `bench.interpreter`: what is compared, and with what.

Instances resemble published rules: mostly a part of a command line under some image, some regular
expressions, globs and negations, each with a marker of its own, so that the number of instances
can be chosen and matches are rare. Events are exec records as they lie in the ring. The peers get
the texts ready decoded, which the interpreter does not.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import re2

from content.model import (
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Severity,
    TemplateInstance,
    TemplateTypeReference,
)
from content.record import Records, dtype, encode
from content.template_type import Rung, TemplateType

SEED = 20240719
MATCHING_SHARE = 0.001
NEGATING_SHARE = 0.1
RE2_SET_BYTES = 512 * 1024 * 1024

IMAGES = (b"/usr/bin/bash", b"/usr/bin/python3.11", b"/usr/bin/curl", b"/usr/bin/git", b"/bin/sh")
WORDS = (
    b"-la --color=auto /usr/share/doc install status --prefix=/usr/local -O2 -Wall origin/main -c "
    b"http://deb.debian.org/debian/pool/main build/lib.linux-x86_64 /home/user/project/src/main.c "
    b"config --global user.name -n 100 --oneline test_everything.py -x -v grep -rn pattern"
).split()

Texts = Mapping[int, bytes]
"""Image, command line and parent image of one event by field number."""

IMAGE, COMMAND_LINE, PARENT_IMAGE = 1, 2, 11


@dataclass(frozen=True, slots=True)
class Load:
    """One size of content and the events for it."""

    channel_file: ChannelFile
    records: Records
    texts: tuple[Texts, ...]


def make(template_type: TemplateType, instances: int, events: int) -> Load:
    """So many instances, and so many exec records of which MATCHING_SHARE match one of them."""
    source = random.Random(SEED)  # noqa: S311 - the same load every time, nothing secret
    content = [_instance(number, source) for number in range(instances)]
    reference = TemplateTypeReference(
        template_type.number, template_type.version, template_type.fingerprint, template_type.arity
    )
    channel_file = ChannelFile(reference, 1, tuple(content))
    texts = tuple(_event(source, instances) for _ in range(events))
    records = np.zeros(events, dtype(template_type))
    for row, event in enumerate(texts):
        inputs = {**event, 4: 1000 + row, 6: 1, 7: source.choice((0, 1000))}
        records[row] = encode(template_type, inputs, rung=Rung.BPF_BTF)[0]
    return Load(channel_file, records, texts)


def _event(source: random.Random, instances: int) -> Texts:
    words = source.choices(WORDS, k=source.randint(2, 14))
    image, parent = source.choice(IMAGES), source.choice(IMAGES)
    if source.random() < MATCHING_SHARE:
        marker = _marker(source.randrange(instances))
        words.insert(1, marker + b"data.zip")
        image = parent = marker + b"bash"
    command_line = b" ".join([image.rpartition(b"/")[2], *words])
    return {IMAGE: image, COMMAND_LINE: command_line, PARENT_IMAGE: parent}


def _marker(number: int) -> bytes:
    return b"/srv/tool-%05d/" % number


def _instance(number: int, source: random.Random) -> TemplateInstance:
    marker = _marker(number)
    shapes = (
        Criterion(COMMAND_LINE, Operator.CONTAINS, (marker,)),
        Criterion(COMMAND_LINE, Operator.REGEX, (marker + rb"[a-z0-9.]*\.(?:zip|tar|7z)",)),
        Criterion(COMMAND_LINE, Operator.GLOB, (b"*" + marker + b"*.zip*",)),
        Criterion(IMAGE, Operator.STARTS_WITH, (marker,)),
        Criterion(PARENT_IMAGE, Operator.EQUALS, (marker + b"bash",)),
    )
    searched = source.choices(shapes, weights=(60, 15, 5, 15, 5))[0]
    criteria = [Criterion(IMAGE, Operator.ENDS_WITH, (b"/bash", b"/sh")), searched]
    if source.random() < NEGATING_SHARE:
        ignored = Criterion(PARENT_IMAGE, Operator.EQUALS, (b"/usr/sbin/cron",), negated=True)
        criteria.append(ignored)
    return TemplateInstance(
        id=f"bench-{number}",
        disposition=Disposition.DETECT,
        severity=Severity.LOW,
        title="For a benchmark",
        description="For a benchmark",
        attack_techniques=(),
        false_positives=(),
        clauses=(Clause(tuple(criteria)),),
        samples=(),
    )


Search = Callable[[bytes], object]
Judges = Sequence[tuple[int, bool, Search]]
"""Field number, negation and compiled expression of each criterion of an instance."""


def _expression(criterion: Criterion) -> bytes:
    parts = []
    for value in criterion.values:
        if not isinstance(value, bytes):
            raise TypeError("the load compares texts only")
        match criterion.operator:
            case Operator.REGEX:
                parts.append(value)
            case Operator.GLOB:
                parts.append(rb"\A" + re.escape(value).replace(rb"\*", b".*") + rb"\Z")
            case Operator.ENDS_WITH:
                parts.append(re.escape(value) + rb"\Z")
            case Operator.STARTS_WITH:
                parts.append(rb"\A" + re.escape(value))
            case Operator.EQUALS:
                parts.append(rb"\A" + re.escape(value) + rb"\Z")
            case _:
                parts.append(re.escape(value))
    return b"|".join(b"(?:%b)" % part for part in parts)


def _criteria(channel_file: ChannelFile) -> list[tuple[Criterion, ...]]:
    return [instance.clauses[0].criteria for instance in channel_file.instances]


class ReLoop:
    """The obvious way: every instance on every event, with Python's `re`."""

    def __init__(self, channel_file: ChannelFile) -> None:
        flags = re.IGNORECASE | re.DOTALL
        self._instances: list[Judges] = [
            [(c.field, c.negated, re.compile(_expression(c), flags).search) for c in criteria]
            for criteria in _criteria(channel_file)
        ]

    def matches(self, events: Sequence[Texts]) -> int:
        """How many pairs of an event and an instance match."""
        return sum(
            all((search(event[field]) is not None) is not negated for field, negated, search in one)
            for event in events
            for one in self._instances
        )


class Re2Sets:
    """One RE2 set per field; an instance is looked at where its last positive criterion hit."""

    def __init__(self, channel_file: ChannelFile) -> None:
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.case_sensitive = False
        options.dot_nl = True
        options.max_mem = RE2_SET_BYTES
        self._sets = {
            field: re2.Set.SearchSet(options) for field in (IMAGE, COMMAND_LINE, PARENT_IMAGE)
        }
        self._owners: dict[int, list[Judges]] = {field: [] for field in self._sets}
        for criteria in _criteria(channel_file):
            searched = [c for c in criteria if not c.negated][-1]
            expressions = [
                (c.field, c.negated, re2.compile(_for_re2(c), options).search) for c in criteria
            ]
            self._sets[searched.field].Add(_for_re2(searched))
            self._owners[searched.field].append(expressions)
        self._used = [field for field, owners in self._owners.items() if owners]
        for field in self._used:
            self._sets[field].Compile()

    def matches(self, events: Sequence[Texts]) -> int:
        """How many pairs of an event and an instance match."""
        found = 0
        for event in events:
            for field in self._used:
                for number in self._sets[field].Match(event[field]) or ():
                    found += all(
                        (search(event[which]) is not None) is not negated
                        for which, negated, search in self._owners[field][number]
                    )
        return found


def _for_re2(criterion: Criterion) -> bytes:
    return _expression(criterion).replace(rb"\Z", rb"\z")
