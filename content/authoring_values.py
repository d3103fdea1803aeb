"""From what an author writes as a value to what a Channel File holds, by the field's kind.

text      text, quoted where YAML could take it for something else, or {hex: "ff00"} for bytes
that are not UTF-8; never trimmed
unsigned, signed    a whole number, decimal, 0x1f or 0o17
enum      one of its names
address   10.0.0.1, 2001:db8::1, or with a length for cidr: 10.0.0.0/8
"""

from difflib import get_close_matches
from ipaddress import ip_address, ip_network

from content.model import AddressPrefix, Signed, Value
from content.reasons import Reason
from content.template_type import Field, Kind, TemplateType
from content.yaml_form import Form, describe
from content.yaml_reader import MappingNode, Node

HEX_KEY = "hex"


def value(form: Form, node: Node, place: str, field: Field) -> Value | None:
    """The value of a node for a field; None comes with a problem in the form."""
    if field.kind is Kind.TEXT:
        return _text(form, node, place)
    if field.kind is Kind.ENUM:
        return _enum(form, node, place, field)
    if field.kind is Kind.ADDRESS:
        return _address(form, node, place)
    number = form.integer(node, place)
    return Signed(number) if number is not None and field.kind is Kind.SIGNED else number


def field_of(form: Form, node: Node, place: str, template_type: TemplateType) -> Field | None:
    """The field that a node names."""
    name = form.text(node, place)
    if name is None:
        return None
    fields = {field.name: field for field in template_type.fields}
    if name not in fields:
        close = get_close_matches(name, fields, n=3) or list(fields)
        expected = f"a field of {template_type.name}, such as {', '.join(close)}"
        form.problem(Reason.UNKNOWN_FIELD, node, place, name, expected)
    return fields.get(name)


def _text(form: Form, node: Node, place: str) -> bytes | None:
    if not isinstance(node, MappingNode):
        text = form.text(node, place)
        return None if text is None else text.encode()
    found = form.mapping(node, place, (HEX_KEY,))
    digits = form.text(found[HEX_KEY], place) if found else None
    if found is None or digits is None:
        return None
    try:
        return bytes.fromhex(digits)
    except ValueError:
        expected = "two hexadecimal digits for each byte"
        form.problem(Reason.WRONG_TYPE, found[HEX_KEY], place, digits, expected)
        return None


def _enum(form: Form, node: Node, place: str, field: Field) -> int | None:
    name = form.text(node, place)
    if name is not None and name not in field.values:
        expected = f"one of {', '.join(field.values)}"
        form.problem(Reason.VALUE_OUT_OF_RANGE, node, place, name, expected)
    return field.values.get(name) if name is not None else None


def _address(form: Form, node: Node, place: str) -> AddressPrefix | None:
    text = form.text(node, place)
    if text is None:
        return None
    try:
        if "%" in text:
            raise ValueError("a zone, which records don't hold")
        if "/" not in text:
            address = ip_address(text)
            return AddressPrefix(address.packed, address.max_prefixlen)
        # The validator says what is wrong with bits behind the prefix; here they are kept.
        written, _, length = text.partition("/")
        ip_network(text, strict=False)
        return AddressPrefix(ip_address(written).packed, int(length))
    except ValueError:
        expected = "an address, or a prefix such as 10.0.0.0/8"
        form.problem(Reason.WRONG_TYPE, node, place, describe(node), expected)
        return None
