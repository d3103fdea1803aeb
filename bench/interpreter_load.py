"""Content and events for `bench.interpreter`: the same for every engine that is compared.

Instances have the shape of the public Sigma rules for processes on Linux: an image and mostly a
part of the command line, in half of them a second part that is common; a quarter has several
values, one in ten negates, and one in ten holds a regular expression (twice as many as there). Each
has a marker of its own, so that their number can be chosen and matches are rare. Its rarest
criterion comes first, which spares engines that go through criteria in their order.

Events are exec records. Matching ones match one instance; as many come close, with everything but
the image. The last events, CHECKED of them, are mostly such: all engines have to agree on them.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from content.definitions import load_definitions
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
ONE_MATCHES_IN = 1000
CHECKED = 60

IMAGES = (b"/usr/bin/bash", b"/usr/bin/python3.11", b"/usr/bin/curl", b"/usr/bin/git", b"/bin/sh")
OTHER_IMAGE = b"/usr/bin/tar"
WORDS = (
    b"-la --color=auto /usr/share/doc install status --prefix=/usr/local -O2 -Wall origin/main -c "
    b"http://deb.debian.org/debian/pool/main build/lib.linux-x86_64 /home/user/project/src/main.c "
    b"config --global user.name -n 100 --oneline test_everything.py -x -v grep -rn pattern"
).split()
COMMON_PART = b" -c "

IMAGE, COMMAND_LINE, PARENT_IMAGE = 1, 2, 11

Texts = Mapping[int, bytes]
"""Image, command line and parent image of one event by field number."""


@dataclass(frozen=True, slots=True)
class Load:
    """One size of content, and events.

    texts: of the events that are timed, and behind them of those that only have to be right.
    """

    template_type: TemplateType
    channel_file: ChannelFile
    texts: tuple[Texts, ...]

    @property
    def timed(self) -> int:
        """How many events are timed."""
        return len(self.texts) - CHECKED

    def records(self) -> Records:
        """The events as they lie in the ring."""
        records = np.zeros(len(self.texts), dtype(self.template_type))
        for row, event in enumerate(self.texts):
            inputs: dict[int, bytes | int] = {**event, 4: 1000 + row, 6: 1, 7: 1000 * (row % 2)}
            records[row] = encode(self.template_type, inputs, rung=Rung.BPF_BTF)[0]
        return records


def make(instances: int, events: int) -> Load:
    """So many instances, and events of which one in ONE_MATCHES_IN matches one of them."""
    template_type = next(one for one in load_definitions().values() if one.name == "process")
    source = random.Random(SEED)  # noqa: S311 - the same load every time, nothing secret
    texts = []
    for number in range(events + CHECKED):
        step = ONE_MATCHES_IN if number < events else 3
        marker = _marker(source.randrange(instances)) if number % step < 2 else None  # noqa: PLR2004 - one matches, one comes close
        texts.append(_event(source, marker, close=number % step == 1))
    reference = TemplateTypeReference(
        template_type.number, template_type.version, template_type.fingerprint, template_type.arity
    )
    content = tuple(_instance(number) for number in range(instances))
    return Load(template_type, ChannelFile(reference, 1, content), tuple(texts))


def _event(source: random.Random, marker: bytes | None, *, close: bool) -> Texts:
    words = source.choices(WORDS, k=source.randint(2, 14))
    image, parent = source.choice(IMAGES), source.choice(IMAGES)
    if marker is not None:
        words += [b"-c", marker + b"data.zip"]
        image = parent = marker + b"bash"
        if close:
            image = OTHER_IMAGE
    command_line = b" ".join([image.rpartition(b"/")[2], *words])
    return {IMAGE: image, COMMAND_LINE: command_line, PARENT_IMAGE: parent}


def _marker(number: int) -> bytes:
    return b"/srv/tool-%05d/" % number


def _instance(number: int) -> TemplateInstance:
    criteria = [_rarest(number), Criterion(IMAGE, Operator.ENDS_WITH, (b"/bash", b"/sh"))]
    if number % 2:
        criteria.append(Criterion(COMMAND_LINE, Operator.CONTAINS, (COMMON_PART,)))
    if number % 10 == 4:  # noqa: PLR2004 - one in ten
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


def _rarest(number: int) -> Criterion:
    """The criterion that few events satisfy, in the shapes and shares of the module's text."""
    marker = _marker(number)
    match number % 20:
        case 0 | 10:
            expression = marker + rb"[a-z0-9.]*\.(?:zip|tar|7z)"
            return Criterion(COMMAND_LINE, Operator.REGEX, (expression,))
        case 1:
            return Criterion(IMAGE, Operator.STARTS_WITH, (marker,))
        case 2:
            return Criterion(PARENT_IMAGE, Operator.EQUALS, (marker + b"bash",))
        case 3:
            return Criterion(COMMAND_LINE, Operator.ENDS_WITH, (marker + b"data.zip",))
    values = (marker, b"--tool_%05d=" % number) if number % 3 == 0 else (marker,)
    return Criterion(COMMAND_LINE, Operator.CONTAINS, values)
