"""Names of the wire's enum values as everything of ours writes them: lower case, no prefix. Pure.

`bpf_btf` of Rung is RUNG_BPF_BTF on the wire; the value 0 (UNSPECIFIED) has no name.
"""

from google.protobuf.descriptor import EnumDescriptor


def number_of(enum: EnumDescriptor, name: str) -> int | None:
    """The number of a value, or None where the enum has no value of that name."""
    found = enum.values_by_name.get(f"{_prefix(enum)}{name}".upper())
    return found.number if found is not None and found.number != 0 else None


def name_of(enum: EnumDescriptor, number: int) -> str | None:
    """The name of a value, or None where the enum has no such value."""
    found = enum.values_by_number.get(number)
    return _short(enum, found.name) if found is not None and number != 0 else None


def names(enum: EnumDescriptor) -> list[str]:
    """All names, in order of their numbers."""
    return [_short(enum, value.name) for value in enum.values if value.number != 0]


def _short(enum: EnumDescriptor, name: str) -> str:
    return name.removeprefix(_prefix(enum)).lower()


def _prefix(enum: EnumDescriptor) -> str:
    return str(enum.values_by_number[0].name).removesuffix("UNSPECIFIED")
