"""Template Types that are small enough to be checked by eye."""

from content.definitions import RUNG_NUMBERS, Field, Kind, Rung, SchemaVersion, TemplateType

EVERYWHERE = frozenset(Rung)
BPF_ONLY = frozenset({Rung.BPF_BTF})


def field(
    number: int, name: str, kind: Kind, capacity: int = 0, *, arguments: bool = False
) -> Field:
    """A field that all rungs supply, except one called `secret`."""
    rungs = BPF_ONLY if name == "secret" else EVERYWHERE
    values = {"open": 1, "close": 2} if kind is Kind.ENUM else {}
    return Field(number, name, kind, "", rungs, capacity, arguments, values)


SMALL = TemplateType(
    number=7,
    name="small",
    version=SchemaVersion(2, 3),
    title="",
    description="",
    fields=(
        field(1, "operation", Kind.ENUM),
        field(2, "image", Kind.TEXT, 16),
        field(3, "address", Kind.ADDRESS),
        field(4, "result", Kind.SIGNED),
        field(5, "command_line", Kind.TEXT, 24, arguments=True),
        field(6, "secret", Kind.UNSIGNED),
    ),
)
"""Every kind of field; its record is 40 + 24 + 16 + 8 + 16 + 24 bytes."""

RECORD_BYTES = 128
STRIDE = 136
BPF_RUNG = RUNG_NUMBERS[Rung.BPF_BTF]
