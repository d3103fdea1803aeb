r"""What a Sigma value asks of a field, as a formula of criteria. Values are never trimmed.

text     wildcards become starts_with, ends_with, contains, or a glob; without case unless cased
         white space only becomes an expression, because content takes it for a mistake
         the empty text is `exists` and not glob ?*; null is not glob ?*, absent or empty
number   equals and comparisons; text that is a number, too
address  equals, cidr; wildcards at the end where they are a prefix: 10.* and fe80:*
account  root, which is number 0; any other name has another number on each host
"""

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from sigma.types import (
    CompareOperators,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
)

from content.model import AddressPrefix, Criterion, Operator, Signed, Value
from content.sigma import expressions
from content.sigma.formula import Formula, all_of, any_of, negate
from content.sigma.refusal import RuleRefusedError, Searched, SigmaReason
from content.template_type import Field, Kind

ROOT = "root"
NOT_EMPTY = b"?*"

_ANY, _ONE = SpecialChars.WILDCARD_MULTI, SpecialChars.WILDCARD_SINGLE
_GLOB = {_ANY: b"*", _ONE: b"?"}
_GLOB_SPECIAL = re.compile(rb"[*?\\]")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")
_IPV4_GROUPS = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){1,3}")
_IPV6_GROUPS = re.compile(r"(?:[1-9a-f][0-9a-f]{0,3}:){1,7}")
_ALL_IPV4 = AddressPrefix(bytes(4), 0)
_MAPPED_IPV4 = IPv6Network("::ffff:0:0/96")
_OPERATORS = {
    CompareOperators.LT: Operator.LESS,
    CompareOperators.LTE: Operator.LESS_OR_EQUAL,
    CompareOperators.GT: Operator.GREATER,
    CompareOperators.GTE: Operator.GREATER_OR_EQUAL,
}


def convert(value: SigmaType, field: Field, name: str) -> Formula:
    """The formula of a value; `name` is the Sigma field. RuleRefusedError."""
    if isinstance(value, SigmaExpansion):
        return any_of([convert(one, field, name) for one in value.values])
    if isinstance(value, SigmaExists):
        return _exists(field) if value.exists else negate(_exists(field))
    if field.kind is Kind.TEXT:
        return _text(value, field, name)
    if isinstance(value, SigmaNull):
        return negate(_exists(field))
    if isinstance(value, SigmaString) and _wildcards_only(value):
        return _exists(field)
    return (
        _address(value, field, name) if field.kind is Kind.ADDRESS else _number(value, field, name)
    )


def account(value: SigmaType, field: Field, name: str) -> Formula:
    """The formula of an account's name, for a field that holds its number. RuleRefusedError."""
    if isinstance(value, SigmaNull | SigmaExists):
        return convert(value, field, name)
    if isinstance(value, SigmaString):
        plain = _plain(value)
        folded = plain if isinstance(value, SigmaCasedString) or plain is None else plain.lower()
        if folded == ROOT:
            return Criterion(field.number, Operator.EQUALS, (0,))
    expected = f"{ROOT}; other accounts have another number on each host"
    raise _refused(value, name, expected)


def always(value: SigmaType, held: bool, name: str) -> bool:  # noqa: FBT001  it is the value
    """Whether a truth value that every event of a view has is the one that is asked for."""
    text = _plain(value) if isinstance(value, SigmaString) else str(value)
    wanted = {"true": True, "false": False}.get((text or "").lower())
    if wanted is None:
        raise _refused(value, name, "true or false")
    return wanted is held


def _exists(field: Field) -> Criterion:
    return Criterion(field.number, Operator.EXISTS, ())


def _text(value: SigmaType, field: Field, name: str) -> Formula:
    not_empty = Criterion(field.number, Operator.GLOB, (NOT_EMPTY,))
    if isinstance(value, SigmaNull):
        return negate(not_empty)
    if isinstance(value, SigmaNumber) and not isinstance(value, SigmaTimestampPart):
        return Criterion(field.number, Operator.EQUALS, (_whole(value, name),))
    if isinstance(value, SigmaRegularExpression):
        found = expressions.convert(value, name)
        return Criterion(
            field.number, Operator.REGEX, (found.value,), case_sensitive=found.case_sensitive
        )
    if not isinstance(value, SigmaString):
        raise _refused(value, name, "text, a number, an expression or null")
    if not value.s:
        return all_of((_exists(field), negate(not_empty)))
    if _wildcards_only(value):
        return _exists(field)
    cased = isinstance(value, SigmaCasedString)
    if not cased:
        expressions.require_ascii_case("".join(map(str, _literals(value))), name)
    operator, text = _pattern(value, name)
    return Criterion(field.number, operator, (text,), case_sensitive=cased)


def _pattern(value: SigmaString, name: str) -> tuple[Operator, bytes]:
    """The plainest operator that says what a text with wildcards says."""
    parts = [part for index, part in enumerate(value.s) if not _repeated(value, index)]
    begins, ends = parts[0] is _ANY, parts[-1] is _ANY
    middle = parts[begins : len(parts) - ends]
    if len(middle) == 1 and isinstance(middle[0], str):
        operator = {
            (False, False): Operator.EQUALS,
            (False, True): Operator.STARTS_WITH,
            (True, False): Operator.ENDS_WITH,
            (True, True): Operator.CONTAINS,
        }[begins, ends]
        text = middle[0].encode()
        if text.strip():
            return operator, text
        return Operator.REGEX, _white_space(text, at_start=not begins, at_end=not ends)
    glob = b""
    for part in parts:
        if isinstance(part, str):
            glob += _GLOB_SPECIAL.sub(rb"\\\g<0>", part.encode())
        elif isinstance(part, SpecialChars):
            glob += _GLOB[part]
        else:
            raise _refused(value, name, "a value without placeholders")
    return Operator.GLOB, glob


def _repeated(value: SigmaString, index: int) -> bool:
    return index > 0 and value.s[index] is _ANY and value.s[index - 1] is _ANY


def _white_space(text: bytes, *, at_start: bool, at_end: bool) -> bytes:
    escaped = b"".join(b"\\x%02x" % byte for byte in text)
    return b"^" * at_start + escaped + b"$" * at_end


def _number(value: SigmaType, field: Field, name: str) -> Formula:
    if isinstance(value, SigmaCompareExpression) and value.op in _OPERATORS:
        number = int(_whole(value.number, name))
        return _numeric(field, _OPERATORS[value.op], number, name, value)
    if isinstance(value, SigmaNumber) and not isinstance(value, SigmaTimestampPart):
        return _numeric(field, Operator.EQUALS, int(_whole(value, name)), name, value)
    plain = _plain(value) if isinstance(value, SigmaString) else None
    if plain is None or not _DECIMAL.fullmatch(plain):
        raise _refused(value, name, "a whole number")
    return _numeric(field, Operator.EQUALS, int(plain), name, value)


def _numeric(
    field: Field, operator: Operator, number: int, name: str, value: SigmaType
) -> Criterion:
    if number < 0 and field.kind is not Kind.SIGNED:
        raise _refused(value, name, "a number that is not negative")
    wanted: Value = Signed(number) if field.kind is Kind.SIGNED else number
    return Criterion(field.number, operator, (wanted,))


def _address(value: SigmaType, field: Field, name: str) -> Formula:
    if isinstance(value, SigmaCIDRExpression):
        return _network(value.network, field)
    expected = "an address, a prefix (cidr), or its beginning up to a . or :"
    if not isinstance(value, SigmaString):
        raise _refused(value, name, expected)
    if not value.s:
        return False  # an address that is there is never empty
    if len(value.s) == 2 and isinstance(value.s[0], str) and value.s[1] is _ANY:  # noqa: PLR2004
        found = _prefix(value.s[0].lower())
        if found is not None:
            return Criterion(field.number, Operator.CIDR, (found,))
    try:
        address = ip_address(_plain(value) or "")
    except ValueError as error:
        raise _refused(value, name, expected) from error
    if isinstance(address, IPv6Address) and address.scope_id:
        raise _refused(value, name, expected)
    single = AddressPrefix(address.packed, address.max_prefixlen)
    return Criterion(field.number, Operator.EQUALS, (single,))


def _network(network: IPv4Network | IPv6Network, field: Field) -> Formula:
    """A prefix; to content, but not to Sigma, IPv4 lies within IPv6."""
    prefix = AddressPrefix(network.network_address.packed, network.prefixlen)
    inside = Criterion(field.number, Operator.CIDR, (prefix,))
    if isinstance(network, IPv6Network) and network.supernet_of(_MAPPED_IPV4):
        return all_of((inside, Criterion(field.number, Operator.CIDR, (_ALL_IPV4,), negated=True)))
    return inside


def _prefix(text: str) -> AddressPrefix | None:
    """The prefix that addresses share whose text begins so; None where there is none."""
    if _IPV4_GROUPS.fullmatch(text):
        groups = [int(group) for group in text[:-1].split(".")]
        if max(groups) <= 255:  # noqa: PLR2004  a byte
            return AddressPrefix(bytes(groups).ljust(4, b"\0"), 8 * len(groups))
    if _IPV6_GROUPS.fullmatch(text):
        packed = b"".join(int(group, 16).to_bytes(2, "big") for group in text[:-1].split(":"))
        return AddressPrefix(packed.ljust(16, b"\0"), 8 * len(packed))
    return None


def _whole(value: SigmaNumber, name: str) -> bytes:
    if not isinstance(value.number, int):
        raise _refused(value, name, "a whole number")
    return str(value.number).encode()


def _plain(value: SigmaString) -> str | None:
    """The text, where it has no wildcards."""
    if not all(isinstance(part, str) for part in value.s):
        return None
    return "".join(_literals(value))


def _literals(value: SigmaString) -> list[str]:
    return [part for part in value.s if isinstance(part, str)]


def _wildcards_only(value: SigmaString) -> bool:
    return bool(value.s) and all(part is _ANY for part in value.s)


def _refused(value: SigmaType, name: str, expected: str) -> RuleRefusedError:
    text = "".join(_literals(value)) if isinstance(value, SigmaString) else None
    shown = str(value) if isinstance(value, SigmaString | SigmaNumber) else type(value).__name__
    return RuleRefusedError(
        SigmaReason.VALUE_NOT_SUPPORTED, name, shown, expected, Searched(name, text)
    )
