"""Events made from rules: what they search for, put together, taken apart and changed.

Everything is drawn from one seeded generator, so that a difference can be found again.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
)
from sigma.types import SigmaExpansion, SigmaString, SigmaType, SpecialChars

from content.record import Records, encode
from content.template_type import Kind, Rung, TemplateType

Inputs = dict[int, bytes | int]

FILLINGS = (b"", b" ", b"x", b"/", b" -c ", b"a b", b"\n", b"\xff")
JOINTS = (b"", b" ", b"  ", b"/", b" ; ")
OTHER_TEXTS = (b"/usr/bin/bash", b"/bin/ls", b"ls -la /tmp", b"", b"\xc3\x89 caf\xe9", b"a" * 300)
NUMBERS = (0, 1, 22, 80, 443, 1000, 4444, 65535)
IPV4_ADDRESSES = ((127, 0, 0, 1), (0, 0, 0, 0), (10, 1, 2, 3), (192, 168, 7, 9), (1, 1, 1, 1))
ADDRESSES = (
    *(bytes(10) + b"\xff\xff" + bytes(one) for one in IPV4_ADDRESSES),
    bytes(15) + b"\1",
    b"\xfe\x80" + bytes(13) + b"\7",
    b"\x20\x01\x0d\xb8" + bytes(12),
)
FIELDS = {
    "Image": "image",
    "CommandLine": "command_line",
    "ParentImage": "parent_image",
    "ParentCommandLine": "parent_command_line",
    "TargetFilename": "path",
    "DestinationHostname": "query_name",
    "CurrentDirectory": "current_directory",
}


def leaves(node: object) -> Iterator[tuple[str, SigmaType]]:
    """Every field and value of a condition tree."""
    if isinstance(node, ConditionAND | ConditionOR | ConditionNOT):
        for one in node.args:
            yield from leaves(one)
    elif isinstance(node, ConditionFieldEqualsValueExpression):
        values = node.value.values if isinstance(node.value, SigmaExpansion) else [node.value]
        for value in values:
            yield node.field, value


@dataclass
class Maker:
    """Makes events of one Template Type from rules' condition trees and events that match them."""

    template_type: TemplateType
    trees: Sequence[Sequence[object]]
    seeds: Sequence[Inputs]
    random: random.Random
    texts: dict[int, list[SigmaString]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.numbers = {one.name: one.number for one in self.template_type.fields}
        for trees in self.trees:
            for name, value in self._text_leaves(trees):
                self.texts.setdefault(name, []).append(value)

    def systematic(self) -> Iterator[Inputs]:
        """Each rule's own event with each value that it names, alone and behind what was there."""
        for trees, seed in zip(self.trees, self.seeds, strict=True):
            yield dict(seed)
            for number, value in self._text_leaves(trees):
                text = self.text(value)
                before = seed.get(number, b"")
                assert isinstance(before, bytes)
                yield {**seed, number: text}
                yield {**seed, number: before + text}
                yield {**seed, number: before + b" " + text}

    def mutated(self, count: int) -> Iterator[Inputs]:
        """Rules' own events, changed once to four times."""
        for index in range(count):
            event = dict(self.seeds[index % len(self.seeds)])
            own = list(self._text_leaves(self.trees[index % len(self.trees)]))
            for _ in range(self.random.randint(1, 4)):
                self._mutate(event, own)
            yield event

    def text(self, value: SigmaString) -> bytes:
        """A text that the value describes, its wildcards filled in."""
        found = b""
        for part in value.s:
            if isinstance(part, str):
                found += part.encode()
            elif part is SpecialChars.WILDCARD_MULTI:
                found += self.random.choice(FILLINGS)
            else:
                found += self.random.choice((b"x", b"/", b" "))
        return found.swapcase() if self.random.random() < 0.1 else found

    def records(self, events: Sequence[Inputs]) -> Records:
        """The events as the probe would supply them."""
        return np.concatenate(
            [encode(self.template_type, event, rung=Rung.BPF_BTF) for event in events]
        )

    def _text_leaves(self, trees: Sequence[object]) -> Iterator[tuple[int, SigmaString]]:
        for tree in trees:
            for name, value in leaves(tree):
                if name in FIELDS and isinstance(value, SigmaString):
                    yield self.numbers[FIELDS[name]], value

    def _mutate(self, event: Inputs, own: Sequence[tuple[int, SigmaString]]) -> None:
        number = self.random.choice([one.number for one in self.template_type.fields])
        if self.random.random() < 0.8:
            number = self.random.choice([*event, *(number for number, _ in own)])
        kind = self.template_type.field(number).kind
        if kind is Kind.TEXT:
            self._mutate_text(event, number, [value for one, value in own if one == number])
        elif kind is Kind.ADDRESS:
            event[number] = self.random.choice(ADDRESSES)
        elif kind is Kind.ENUM:
            values = self.template_type.field(number).values
            event[number] = self.random.choice(list(values.values()))
        else:
            signed = kind is Kind.SIGNED and self.random.random() < 0.5
            event[number] = self.random.choice((-13, -115) if signed else NUMBERS)

    def _mutate_text(self, event: Inputs, number: int, own: Sequence[SigmaString]) -> None:
        text = event.get(number, b"")
        assert isinstance(text, bytes)
        everyone = self.texts.get(number, [])
        choice = self.random.randrange(8)
        if choice == 0:
            event.pop(number, None)
        elif choice == 1:
            event[number] = self.random.choice(OTHER_TEXTS)
        elif choice == 2 and everyone:
            event[number] = self.text(self.random.choice(everyone))
        elif choice in (3, 4) and own:
            words = [self.text(self.random.choice(own)) for _ in range(self.random.randint(1, 4))]
            event[number] = self.random.choice(JOINTS).join(words)
        elif choice == 5 and own:
            joint = self.random.choice(JOINTS)
            event[number] = text + joint + self.text(self.random.choice(own))
        else:
            event[number] = self._misspelt(text)

    def _misspelt(self, text: bytes) -> bytes:
        at = self.random.randint(0, len(text))
        return self.random.choice(
            (
                text[:at] + text[at + 1 :],
                text[:at] + self.random.choice(FILLINGS) + text[at:],
                text.swapcase(),
                text[at:],
                text[:at],
                text + text,
            )
        )


def by_name(
    inputs: Mapping[int, bytes | int], template_type: TemplateType
) -> dict[str, bytes | int]:
    """Inputs by their fields' names."""
    return {template_type.field(number).name: value for number, value in inputs.items()}
