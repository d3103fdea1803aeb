"""Sigma's meaning once more: slow, obvious, and sharing no code with the converter.

An event is what a log would hold: values by Sigma's field names. It is judged straight over the
condition tree that pySigma makes of a rule, with Python's `re` and `ipaddress`. Texts are bytes and
are compared without regard to the case of ASCII letters, as Sigma compares unless told otherwise.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
)
from sigma.rule import SigmaRule
from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaRegularExpressionFlag,
    SigmaString,
    SigmaType,
    SpecialChars,
)

LogValue = bytes | int | bool | IPv4Address | IPv6Address
LogEvent = Mapping[str, LogValue]

PYTHON_FLAGS = {
    SigmaRegularExpressionFlag.IGNORECASE: re.IGNORECASE,
    SigmaRegularExpressionFlag.MULTILINE: re.MULTILINE,
    SigmaRegularExpressionFlag.DOTALL: re.DOTALL,
}


class Judge:
    """One rule; its condition trees are parsed once."""

    def __init__(self, rule: SigmaRule) -> None:
        self.trees = [condition.parse() for condition in rule.detection.parsed_condition]

    def matches(self, event: LogEvent) -> bool:
        """Whether any of the rule's conditions holds for the event."""
        return any(holds(tree, event) for tree in self.trees)


def holds(node: object, event: LogEvent) -> bool:
    """Whether a part of a condition holds."""
    if isinstance(node, ConditionAND):
        return all(holds(one, event) for one in node.args)
    if isinstance(node, ConditionOR):
        return any(holds(one, event) for one in node.args)
    if isinstance(node, ConditionNOT):
        return not holds(node.args[0], event)
    assert isinstance(node, ConditionFieldEqualsValueExpression)
    return compares(node.value, event.get(node.field))


def compares(wanted: SigmaType, value: LogValue | None) -> bool:
    """Whether a value of a log is one that a rule asks for; None where the log has none."""
    if isinstance(wanted, SigmaExpansion):
        return any(compares(one, value) for one in wanted.values)
    if isinstance(wanted, SigmaExists):
        return (value is not None) == wanted.exists
    if isinstance(wanted, SigmaNull):
        return value is None or value == b""
    return value is not None and has(wanted, value)


def has(wanted: SigmaType, value: LogValue) -> bool:
    """The same for a value that is there."""
    if isinstance(wanted, SigmaCIDRExpression):
        assert isinstance(value, IPv4Address | IPv6Address)
        return value in wanted.network
    if isinstance(wanted, SigmaCompareExpression):
        assert isinstance(value, int)
        return orders(wanted, value)
    if isinstance(wanted, SigmaRegularExpression):
        return bool(expression(str(wanted.regexp), frozenset(wanted.flags)).search(text_of(value)))
    if isinstance(wanted, SigmaString):
        parts = tuple(wanted.s)
        return bool(pattern(parts, isinstance(wanted, SigmaCasedString)).fullmatch(text_of(value)))
    assert isinstance(wanted, SigmaNumber | SigmaBool), wanted
    return str(wanted).lower().encode() == text_of(value).lower()


def text_of(value: LogValue) -> bytes:
    """What a log writes."""
    return value if isinstance(value, bytes) else str(value).encode()


def orders(wanted: SigmaCompareExpression, value: int) -> bool:
    """Numeric comparison."""
    number = wanted.number.number
    return {
        CompareOperators.LT: value < number,
        CompareOperators.LTE: value <= number,
        CompareOperators.GT: value > number,
        CompareOperators.GTE: value >= number,
        CompareOperators.NEQ: value != number,
    }[wanted.op]


@lru_cache(maxsize=100_000)
def pattern(parts: tuple[object, ...], cased: bool) -> re.Pattern[bytes]:  # noqa: FBT001
    """A text with wildcards, for all of a value."""
    wildcards = {SpecialChars.WILDCARD_MULTI: b".*", SpecialChars.WILDCARD_SINGLE: b"."}
    written = b""
    for part in parts:
        if isinstance(part, str):
            written += re.escape(part.encode())
        else:
            assert isinstance(part, SpecialChars)
            written += wildcards[part]
    return re.compile(written, re.DOTALL | (re.NOFLAG if cased else re.IGNORECASE))


@lru_cache(maxsize=10_000)
def expression(written: str, flags: frozenset[SigmaRegularExpressionFlag]) -> re.Pattern[bytes]:
    """An expression, for any part of a value."""
    total = re.NOFLAG
    for flag in flags:
        total |= PYTHON_FLAGS[flag]
    return re.compile(written.encode(), total)


def log_event(category: str, inputs: Mapping[str, bytes | int]) -> LogEvent | None:
    """The event as Sigma's log source would have it; None where it would have none.

    inputs: what a record holds (`content.record.decode`), by the field's name.
    """
    log: dict[str, LogValue] = {}
    _copy(log, inputs, PROCESS_FIELDS)
    for field, name in (("user_id", "User"), ("parent_user_id", "ParentUser")):
        if field in inputs:
            log[name] = b"root" if inputs[field] == 0 else f"user{inputs[field]!r}".encode()
    if category == "process_creation":
        _copy(log, inputs, {"current_directory": "CurrentDirectory", "user_id": "LogonId"})
    if category == "file_event":
        if inputs.get("operation") not in (OPEN_WRITE, CREATE) or not _succeeded(inputs):
            return None
        _copy(log, inputs, {"path": "TargetFilename"})
    if category == NAME_RESOLUTION:
        if inputs.get("operation") != QUERY:
            return None
        _copy(log, inputs, {"query_name": "DestinationHostname"})
    if category == "network_connection":
        if inputs.get("operation") not in (CONNECT, ACCEPT):
            return None
        log["Initiated"] = inputs["operation"] == CONNECT
        _copy(log, inputs, CONNECTED if log["Initiated"] else ACCEPTED)
    return log


NAME_RESOLUTION = "network_connection, by the name of its destination"
"""What rules of that category become which ask for a name, as if it were a category."""

QUERY = 1
CONNECT, ACCEPT = 1, 3
OPEN_WRITE, CREATE = 1, 2
PROCESS_FIELDS = {
    "image": "Image",
    "command_line": "CommandLine",
    "pid": "ProcessId",
    "parent_image": "ParentImage",
    "parent_command_line": "ParentCommandLine",
    "parent_pid": "ParentProcessId",
}
CONNECTED = {"remote_address": "DestinationIp", "remote_port": "DestinationPort"}
ACCEPTED = {
    "local_address": "DestinationIp",
    "local_port": "DestinationPort",
    "remote_address": "SourceIp",
    "remote_port": "SourcePort",
}


def _copy(
    log: dict[str, LogValue], inputs: Mapping[str, bytes | int], names: Mapping[str, str]
) -> None:
    for field, name in names.items():
        if field not in inputs:
            continue
        value = inputs[field]
        if field.endswith("_address"):
            assert isinstance(value, bytes)
            address = ip_address(value)
            assert isinstance(address, IPv6Address)
            log[name] = address.ipv4_mapped or address
        else:
            log[name] = value


def _succeeded(inputs: Mapping[str, bytes | int]) -> bool:
    result = inputs.get("result")
    return isinstance(result, int) and result >= 0
