"""The interpreter's meaning once more: slow, obvious, and sharing no code with what it judges.

One event at a time, one instance at a time, straight from the criteria as the author wrote them.
Only `content.record.decode` and Python's own `re` and `ipaddress` are used.
"""

import operator
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from content.model import AddressPrefix, ChannelFile, Criterion, Operator, Value
from content.record import Records, decode, header_problem
from content.template_type import Kind, TemplateType

Found = list[tuple[int, str, int]]
"""Row, instance id and number of the first clause that matched, in this order."""

COMPARE = {
    Operator.EQUALS: operator.eq,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}


def evaluate(
    channel_files: Sequence[ChannelFile], template_type: TemplateType, records: Records
) -> Found:
    """All matches in a batch."""
    found: Found = []
    refused = header_problem(template_type, records)
    for row in range(len(records)):
        if refused[row]:
            continue
        inputs = decode(template_type, records[row : row + 1])
        for channel_file in channel_files:
            if channel_file.template_type.number == template_type.number:
                found += [(row, *match) for match in _matches(channel_file, template_type, inputs)]
    return found


def _matches(
    channel_file: ChannelFile, template_type: TemplateType, inputs: Mapping[int, bytes | int]
) -> list[tuple[str, int]]:
    found = []
    for instance in channel_file.instances:
        for number, clause in enumerate(instance.clauses):
            if all(criterion_holds(one, template_type, inputs) for one in clause.criteria):
                found.append((instance.id, number))
                break
    return found


def criterion_holds(
    criterion: Criterion, template_type: TemplateType, inputs: Mapping[int, bytes | int]
) -> bool:
    """Whether one criterion holds for one event's inputs."""
    value = inputs.get(criterion.field)
    if value is None:
        return criterion.negated
    if criterion.operator is Operator.EXISTS:
        return not criterion.negated
    kind = template_type.field(criterion.field).kind
    held = any(_compares(criterion, kind, wanted, value) for wanted in criterion.values)
    return held != criterion.negated


def _compares(criterion: Criterion, kind: Kind, wanted: Value, value: bytes | int) -> bool:
    if kind is Kind.ADDRESS:
        assert isinstance(wanted, AddressPrefix)
        assert isinstance(value, bytes)
        return _under(wanted, value)
    if kind is not Kind.TEXT:
        assert isinstance(wanted, int)
        assert isinstance(value, int)
        return bool(COMPARE[criterion.operator](value, wanted))
    assert isinstance(wanted, bytes)
    assert isinstance(value, bytes)
    return _text_compares(criterion, wanted, value)


def _under(prefix: AddressPrefix, address: bytes) -> bool:
    network = ip_network((prefix.address, prefix.length), strict=False)
    seen = IPv6Address(address)
    if isinstance(network, IPv6Network):
        return seen in network
    assert isinstance(network, IPv4Network)
    return seen.ipv4_mapped is not None and ip_address(str(seen.ipv4_mapped)) in network


def _text_compares(criterion: Criterion, wanted: bytes, value: bytes) -> bool:
    if criterion.operator is Operator.REGEX:
        flags = re.DOTALL | (re.NOFLAG if criterion.case_sensitive else re.IGNORECASE)
        return re.search(_for_python(wanted), value, flags) is not None
    if not criterion.case_sensitive:
        wanted, value = wanted.lower(), value.lower()
    match criterion.operator:
        case Operator.EQUALS:
            return value == wanted
        case Operator.STARTS_WITH:
            return value[: len(wanted)] == wanted
        case Operator.ENDS_WITH:
            return value[max(0, len(value) - len(wanted)) :] == wanted
        case Operator.CONTAINS:
            return wanted in value
        case Operator.GLOB:
            return glob_matches(wanted, value)
    raise AssertionError(criterion.operator)


def glob_matches(glob: bytes, value: bytes) -> bool:
    """Whether a glob describes the whole value."""
    if not glob:
        return not value
    if glob[:1] == b"*":
        return any(glob_matches(glob[1:], value[skip:]) for skip in range(len(value) + 1))
    if glob[:1] == b"\\":
        glob = glob[1:]
    elif glob[:1] == b"?":
        return bool(value) and glob_matches(glob[1:], value[1:])
    return value[:1] == glob[:1] and glob_matches(glob[1:], value[1:])


def _for_python(expression: bytes) -> bytes:
    r"""The same expression for `re`, where `$` would match before a final newline."""
    parts = re.findall(rb"\\x..|\\.|\[(?:\\.|[^\]])*\]|.", expression, re.DOTALL)
    return b"".join(rb"\Z" if part == b"$" else part for part in parts)
