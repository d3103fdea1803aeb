"""Random content and random events that often match it, for differential tests.

Everything is drawn from few values, so that criteria and events meet: short texts over a small
alphabet with zero bytes, newlines and bytes outside ASCII; numbers around the edges of 64 bits.
"""

import numpy as np
from hypothesis import strategies as st

from content.model import (
    OPERATORS,
    AddressPrefix,
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Severity,
    Signed,
    TemplateInstance,
    TemplateTypeReference,
    Value,
)
from content.record import LENGTH_SUFFIX, Records, encode
from content.regex_subset import ExpressionError, parse
from content.template_type import Field, Kind, Rung, SchemaVersion, TemplateType

EVERYWHERE = frozenset(Rung)

EVERY_KIND = TemplateType(
    number=9,
    name="every_kind",
    version=SchemaVersion(1, 0),
    title="One field of every kind",
    description="For tests",
    fields=(
        Field(1, "operation", Kind.ENUM, "", EVERYWHERE, values={"one": 1, "two": 2, "three": 3}),
        Field(2, "path", Kind.TEXT, "", EVERYWHERE, capacity=8),
        Field(3, "command_line", Kind.TEXT, "", EVERYWHERE, capacity=16, arguments=True),
        Field(4, "size", Kind.UNSIGNED, "", EVERYWHERE),
        Field(5, "result", Kind.SIGNED, "", EVERYWHERE),
        Field(6, "address", Kind.ADDRESS, "", EVERYWHERE),
        Field(7, "image", Kind.TEXT, "", EVERYWHERE, capacity=24),
    ),
)

ALPHABET = b"aAbB/ .\x00\x01\n\xff\xe9\xc9"
UNSIGNED_EDGES = (0, 1, 2, 3, 80, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
SIGNED_EDGES = (-(1 << 63), -2, -1, 0, 1, 2, (1 << 63) - 1)
SEEN_ADDRESSES = (
    bytes(16),
    bytes(15) + b"\x01",
    b"\x20\x01\x0d\xb8" + bytes(12),
    b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01",
    b"\xff" * 16,
    *(bytes(10) + b"\xff\xff" + four for four in (b"\x0a\0\0\1", b"\x0a\1\2\3", b"\x7f\0\0\1")),
)
TEXTS = st.lists(st.sampled_from(list(ALPHABET)), max_size=18).map(bytes)
WANTED_TEXTS = st.lists(st.sampled_from(list(ALPHABET)), max_size=5).map(bytes)
UNSIGNED = st.sampled_from(UNSIGNED_EDGES)
SIGNED = st.sampled_from(SIGNED_EDGES).map(Signed)
ADDRESSES = st.sampled_from(SEEN_ADDRESSES)

ATOMS = [
    "a",
    "B",
    "/",
    r"\.",
    ".",
    "[ab]",
    "[^a]",
    "[^a-z]",
    r"\x00",
    r"\n",
    r"\w",
    r"\W",
    r"\xe9",
]
REPEATS = ["*", "+", "?", "{2}", "{1,3}", "{2,}"]
_EXPRESSION_PARTS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(REPEATS)).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)
_ALTERNATIVES = st.tuples(
    st.sampled_from(["", "^"]), _EXPRESSION_PARTS, st.sampled_from(["", "$"])
).map("".join)


def is_allowed(expression: bytes) -> bool:
    """Whether it is an expression of the subset."""
    try:
        parse(expression)
    except ExpressionError:
        return False
    return True


EXPRESSIONS = (
    st.lists(_ALTERNATIVES, min_size=1, max_size=2)
    .map(lambda parts: "|".join(parts).encode())
    .filter(is_allowed)
)
GLOB_PARTS = (b"*", b"?", b"a", b"B", b"/", b".", b"\\*", b"\\a", b"\x00", b"\xff")
GLOBS = st.lists(
    st.sampled_from(GLOB_PARTS),
    min_size=1,
    max_size=6,
).map(b"".join)


@st.composite
def prefixes(draw: st.DrawFn) -> AddressPrefix:
    """A prefix of either family, bits behind its length included."""
    address = draw(ADDRESSES)
    if address[:12] == bytes(10) + b"\xff\xff" and draw(st.booleans()):
        address = address[12:]
    size = 8 * len(address)
    return AddressPrefix(address, draw(st.sampled_from([0, 1, 8, size // 2, size - 1, size])))


TEXT_VALUES = {
    Operator.EQUALS: WANTED_TEXTS,
    Operator.STARTS_WITH: WANTED_TEXTS,
    Operator.ENDS_WITH: WANTED_TEXTS,
    Operator.CONTAINS: WANTED_TEXTS,
    Operator.GLOB: GLOBS,
    Operator.REGEX: EXPRESSIONS,
}


@st.composite
def criteria(draw: st.DrawFn) -> Criterion:
    """A sound criterion on any field of EVERY_KIND."""
    field = draw(st.sampled_from(EVERY_KIND.fields))
    negated = draw(st.sampled_from([False, False, True]))
    if draw(st.integers(0, 11)) == 0:
        return Criterion(field.number, Operator.EXISTS, (), negated)
    operator, values = draw(_comparison(field))
    return Criterion(field.number, operator, values, negated, draw(st.booleans()))


@st.composite
def _comparison(draw: st.DrawFn, field: Field) -> tuple[Operator, tuple[Value, ...]]:
    one: st.SearchStrategy[Value]
    if field.kind is Kind.TEXT:
        operator = draw(st.sampled_from(sorted(TEXT_VALUES)))
        one = TEXT_VALUES[operator]
    elif field.kind is Kind.ADDRESS:
        operator = draw(st.sampled_from([Operator.EQUALS, Operator.CIDR]))
        single = ADDRESSES.map(lambda address: AddressPrefix(address, 128))
        one = single if operator is Operator.EQUALS else prefixes()
    else:
        operator = draw(st.sampled_from(sorted(OPERATORS[field.kind] - {Operator.EXISTS})))
        numbers = {Kind.ENUM: st.integers(1, 3), Kind.SIGNED: SIGNED, Kind.UNSIGNED: UNSIGNED}
        one = numbers[field.kind]
    return operator, tuple(draw(st.lists(one, min_size=1, max_size=3)))


CLAUSES = st.lists(criteria(), min_size=1, max_size=3).map(lambda found: Clause(tuple(found)))


def channel_file(*clauses_of_instances: tuple[Clause, ...]) -> ChannelFile:
    """A Channel File for EVERY_KIND with one instance per argument, named i0 and so on."""
    reference = TemplateTypeReference(
        EVERY_KIND.number, EVERY_KIND.version, EVERY_KIND.fingerprint, EVERY_KIND.arity
    )
    instances = tuple(
        TemplateInstance(
            id=f"i{number}",
            disposition=Disposition.DETECT,
            severity=Severity.LOW,
            title="For tests",
            description="For tests",
            attack_techniques=(),
            false_positives=(),
            clauses=clauses,
            samples=(),
        )
        for number, clauses in enumerate(clauses_of_instances)
    )
    return ChannelFile(reference, 1, instances)


CHANNEL_FILES = st.lists(
    st.lists(CLAUSES, min_size=1, max_size=2).map(tuple), min_size=1, max_size=6
).map(lambda instances: channel_file(*instances))


@st.composite
def inputs(draw: st.DrawFn) -> dict[int, bytes | int]:
    """Inputs of one event, some of them absent."""
    strategies: dict[int, st.SearchStrategy[bytes | int]] = {
        1: st.integers(1, 3),
        2: TEXTS,
        3: TEXTS,
        4: UNSIGNED,
        5: SIGNED,
        6: ADDRESSES,
        7: TEXTS,
    }
    return {
        number: draw(strategy)
        for number, strategy in strategies.items()
        if draw(st.integers(0, 5)) > 0
    }


@st.composite
def batches(draw: st.DrawFn) -> Records:
    """Records as a ring holds them: apart from each other, stale memory behind every text.

    Now and then a header disagrees, or a length claims more than the capacity.
    """
    events = draw(st.lists(inputs(), min_size=1, max_size=8))
    packed = np.concatenate([encode(EVERY_KIND, event, rung=Rung.BPF_BTF) for event in events])
    for row in range(len(packed)):
        make_stale(packed, row, draw(TEXTS))
        if draw(st.integers(0, 9)) == 0:
            name = draw(st.sampled_from(["arity", "schema_minor", "template_type"]))
            packed[name][row] += 1
        if draw(st.integers(0, 9)) == 0:
            packed["path" + LENGTH_SUFFIX][row] = draw(st.sampled_from([9, 500, (1 << 32) - 1]))
    return apart(packed, draw(st.sampled_from([0, 8, 24, 3])))


def make_stale(records: Records, row: int, stale: bytes) -> None:
    """Leave the remains of an earlier event behind every text."""
    for field in EVERY_KIND.fields:
        if field.kind is Kind.TEXT and stale:
            length = int(records[field.name + LENGTH_SUFFIX][row])
            behind = records[field.name][row, length:]
            behind[:] = np.resize(np.frombuffer(stale, np.uint8), len(behind))


def apart(records: Records, gap: int) -> Records:
    """The same records with that many bytes of other memory between them, read-only."""
    size = records.dtype.itemsize
    memory = np.full((len(records), size + gap), 0x61, np.uint8)
    memory[:, :size] = records.view(np.uint8).reshape(len(records), size)
    spread: Records = memory[:, :size].view(records.dtype)[:, 0]
    spread.flags.writeable = False
    return spread
