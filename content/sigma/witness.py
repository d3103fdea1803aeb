"""Sample events for clauses: one that matches, and an ordinary one close to it that doesn't.

Criteria are about one field each, so a value is looked for field by field: texts put together from
the criteria's own values, shortest words of globs and expressions, numbers and addresses around
those that are named. Every candidate is judged by `content.matching.criteria`; only what is found
right is used, and nothing found is said as None.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product

from content.matching import glob
from content.matching.criteria import Judge, holds, judge_of
from content.model import AddressPrefix, Clause, Criterion, Operator, Signed, Value
from content.regex_subset import Alternation, ByteSet, Node, Repeat, parse
from content.regex_subset import Sequence as Items
from content.template_type import Field, Kind, TemplateType

Inputs = dict[int, Value]

COMBINATIONS = 256
"""Most combinations of values that are tried for one field."""

_ORDINARY: Mapping[str, bytes] = {
    "image": b"/usr/bin/example",
    "command_line": b"example --version",
    "parent_image": b"/usr/lib/systemd/systemd",
    "parent_command_line": b"/usr/lib/systemd/systemd --user",
    "path": b"/var/lib/example/state.json",
}
_FILLING = b"example"
_ADDRESSES = tuple(
    AddressPrefix(address, 8 * len(address))
    for address in (b"\xc0\0\2\7", bytes.fromhex("20010db8000000000000000000000007"))
)
_PREFERRED = b"abcdefghijklmnopqrstuvwxyz/0123456789-_. "
_NUMBERS = (1000, 443, 0, 1, 2)
_FOLDERS: Mapping[str, bytes] = {
    "image": b"/usr/bin",
    "parent_image": b"/usr/bin",
    "path": b"/var/lib",
}
_COMMAND_LINES = {"command_line": "image", "parent_command_line": "parent_image"}
_STEP = 1


class Witnesses:
    """Finds samples over one Template Type; every criterion's judge is made once."""

    def __init__(self, template_type: TemplateType) -> None:
        self._template_type = template_type
        self._judges: dict[Criterion, Judge] = {}

    def matching(self, clause: Clause) -> Inputs | None:
        """Inputs that the clause matches."""
        inputs: Inputs = {}
        by_field: dict[int, list[Criterion]] = {}
        for criterion in clause.criteria:
            by_field.setdefault(criterion.field, []).append(criterion)
        for number, criteria in sorted(by_field.items()):
            field = self._template_type.field(number)
            program = _program(self._template_type, field, inputs)
            for candidate in _candidates(field, criteria, program):
                if all(self._holds(one, candidate) for one in criteria):
                    if candidate is not None:
                        inputs[number] = candidate
                    break
            else:
                return None
        return inputs or None

    def not_matching(self, clauses: Sequence[Clause], matched: Inputs) -> Inputs | None:
        """Inputs that no clause matches: the same with one field made ordinary, or all of them."""
        for number in sorted(matched, reverse=True):
            for ordinary in _ordinary(self._template_type.field(number), matched[number]):
                changed = {**matched, number: ordinary}
                if not self.any_matches(clauses, changed):
                    return changed
        types = {number: self._template_type.field(number) for number in matched}
        changed = {number: next(_ordinary(field, None)) for number, field in types.items()}
        return None if self.any_matches(clauses, changed) else changed

    def any_matches(self, clauses: Sequence[Clause], inputs: Inputs) -> bool:
        """Whether any clause matches inputs."""
        return any(
            all(self._holds(one, inputs.get(one.field)) for one in clause.criteria)
            for clause in clauses
        )

    def _holds(self, criterion: Criterion, value: Value | None) -> bool:
        field = self._template_type.field(criterion.field)
        if isinstance(value, bytes) and len(value) > field.capacity:
            return False
        if criterion not in self._judges:
            self._judges[criterion] = judge_of(criterion, field)
        seen = value.mapped().address if isinstance(value, AddressPrefix) else value
        return holds(criterion, self._judges[criterion], seen)


def _program(template_type: TemplateType, field: Field, inputs: Inputs) -> bytes:
    """What a command line begins with: the name of the image, where that is known."""
    image = _COMMAND_LINES.get(field.name)
    numbers = [one.number for one in template_type.fields if one.name == image]
    known = inputs.get(numbers[0]) if numbers else None
    return known.rpartition(b"/")[2] if isinstance(known, bytes) else b""


def _candidates(
    field: Field, criteria: Sequence[Criterion], program: bytes
) -> Iterator[Value | None]:
    positive = [one for one in criteria if not one.negated and one.values]
    if field.kind is Kind.TEXT:
        yield from _texts(field, positive, program)
    elif field.kind is Kind.ADDRESS:
        yield from _addresses(criteria)
    elif field.kind is Kind.ENUM:
        yield from field.values.values()
    else:
        named = [value for one in criteria for value in one.values if isinstance(value, int)]
        near = (number + step for number in named for step in (0, -_STEP, _STEP))
        if field.kind is Kind.SIGNED:
            yield from map(Signed, (*near, *_NUMBERS))
        else:
            yield from (one for one in (*near, *_NUMBERS) if one >= 0)
    yield None


def _addresses(criteria: Sequence[Criterion]) -> Iterator[AddressPrefix]:
    for criterion in criteria:
        for value in criterion.values:
            if isinstance(value, AddressPrefix):
                size = len(value.address)
                first = int.from_bytes(value.address, "big")
                for number in (first, first + _STEP):
                    if number < 1 << 8 * size:
                        yield AddressPrefix(number.to_bytes(size, "big"), 8 * size)
    yield from _ADDRESSES


def _texts(field: Field, positive: Sequence[Criterion], program: bytes) -> Iterator[bytes]:
    if not positive:
        yield from (_ORDINARY.get(field.name, _FILLING), program or _FILLING, b"", _FILLING)
        return
    choices = [[(one, value) for value in one.values] for one in positive]
    for chosen in islice(product(*choices), COMBINATIONS):
        pieces = _Pieces.of([_piece(*one) for one in chosen])
        if field.name in _FOLDERS:
            yield from pieces.as_path(_FOLDERS[field.name])
        yield from pieces.compositions(program)


def _piece(criterion: Criterion, value: Value) -> tuple[Operator, bytes]:
    """A value as a piece of text that goes at the start, the end, anywhere or is all of it."""
    assert isinstance(value, bytes)  # noqa: S101  criteria on texts have texts
    if criterion.operator is Operator.GLOB:
        return Operator.EQUALS, _word(glob.parse(value))
    if criterion.operator is Operator.REGEX:
        whole = {(True, False): Operator.STARTS_WITH, (False, True): Operator.ENDS_WITH}
        anchored = (value.startswith(b"^"), value.endswith(b"$"))
        operator = Operator.EQUALS if all(anchored) else whole.get(anchored, Operator.CONTAINS)
        return operator, _word(parse(value))
    return criterion.operator, value


@dataclass(frozen=True, slots=True)
class _Pieces:
    """What has to stand in a text: all of it, at its start, anywhere, at its end."""

    whole: tuple[bytes, ...]
    start: bytes
    middle: tuple[bytes, ...]
    end: bytes

    @classmethod
    def of(cls, pieces: Sequence[tuple[Operator, bytes]]) -> "_Pieces":
        def texts(wanted: Operator) -> tuple[bytes, ...]:
            return tuple(text for operator, text in pieces if operator is wanted)

        return cls(
            texts(Operator.EQUALS),
            max(texts(Operator.STARTS_WITH), key=len, default=b""),
            texts(Operator.CONTAINS),
            max(texts(Operator.ENDS_WITH), key=len, default=b""),
        )

    def as_path(self, folder: bytes) -> Iterator[bytes]:
        """A whole path that looks like one."""
        body = b"".join(self.middle) + self.end
        file = _FILLING if (body or self.start).endswith(b"/") else b""
        if not self.whole and not self.start:
            yield folder + (b"" if body.startswith(b"/") else b"/") + body + file
        elif not self.whole:
            yield self.start + body + file

    def compositions(self, program: bytes) -> Iterator[bytes]:
        """Texts with everything in it, one after the other or overlapping."""
        yield from self.whole
        start, end = self.start, self.end
        for begin in (start,) if start or not program else (program, b""):
            for joint in (b" ", b""):
                yield joint.join(one for one in (begin, *self.middle, end) if one)
        for shared in range(min(len(start), len(end)), 0, -1):
            yield start + end[shared:]
        yield start + _FILLING + b"".join(self.middle) + end


def _word(node: Node) -> bytes:
    """A shortest text that the node matches, of ordinary bytes where it may choose."""
    if isinstance(node, ByteSet):
        ordinary = next((byte for byte in _PREFERRED if byte in node.members), None)
        return bytes([min(node.members) if ordinary is None else ordinary])
    if isinstance(node, Items):
        return b"".join(map(_word, node.items))
    if isinstance(node, Alternation):
        return min(map(_word, node.options), key=len)
    if isinstance(node, Repeat):
        return _word(node.item) * node.minimum
    return b""


def _ordinary(field: Field, matched: Value | None) -> Iterator[Value]:
    """Values that have nothing special, first one that is close to the one that matched."""
    if field.kind is Kind.TEXT:
        if isinstance(matched, bytes):
            folder, slash, _ = matched.rpartition(b"/")
            if field.name in _FOLDERS and slash:
                yield folder + slash + _FILLING
            elif field.name in _COMMAND_LINES:
                yield matched.split(b" ")[0] + b" --version"
        yield _ORDINARY.get(field.name, _FILLING)
    elif field.kind is Kind.ADDRESS:
        yield from _ADDRESSES
    elif field.kind is Kind.ENUM:
        yield from field.values.values()
    else:
        yield from map(Signed if field.kind is Kind.SIGNED else int, _NUMBERS)
