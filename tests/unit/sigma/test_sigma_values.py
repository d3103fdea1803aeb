"""What values and modifiers become, spelled out; that it is right is judged by the random rules."""

from pathlib import Path

import pytest

from content.model import AddressPrefix, Criterion, Operator, Signed
from tests.unit.sigma.examples import clauses_of, rule, selecting

IMAGE, COMMAND_LINE, PID, USER_ID, PARENT_IMAGE, CURRENT_DIRECTORY = 1, 2, 4, 7, 11, 16
OPERATION, REMOTE_ADDRESS, REMOTE_PORT, LOCAL_ADDRESS, LOCAL_PORT = 1, 3, 4, 5, 6
CONNECT, ACCEPT = 1, 3
NETWORK = "network_connection"

EQUALS, STARTS, ENDS = Operator.EQUALS, Operator.STARTS_WITH, Operator.ENDS_WITH
CONTAINS, GLOB, REGEX = Operator.CONTAINS, Operator.GLOB, Operator.REGEX


def text(operator: Operator, *values: bytes, negated: bool = False) -> Criterion:
    """A criterion on command_line."""
    return Criterion(COMMAND_LINE, operator, values, negated)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("CommandLine: ls", text(EQUALS, b"ls")),
        ("CommandLine: 7", text(EQUALS, b"7")),
        ("CommandLine: ls*", text(STARTS, b"ls")),
        ("CommandLine: '*ls'", text(ENDS, b"ls")),
        ("CommandLine: '*ls*'", text(CONTAINS, b"ls")),
        ("CommandLine|startswith: ' ls '", text(STARTS, b" ls ")),
        ("CommandLine|endswith: '\tls'", text(ENDS, b"\tls")),
        ("CommandLine|contains: [a, B]", text(CONTAINS, b"a", b"B")),
        ("CommandLine: l?", text(GLOB, b"l?")),
        ("CommandLine: 'l\\*s*['", text(GLOB, b"l\\*s*[")),
        ("CommandLine|contains: 'a*b'", text(GLOB, b"*a*b*")),
        (r"CommandLine|contains: '\\\*'", text(CONTAINS, b"\\*")),
        (r"CommandLine|contains: 'a\\'", text(CONTAINS, b"a\\")),
        ("CommandLine|contains: ' '", text(REGEX, rb"\x20")),
        ("CommandLine: ' \t'", text(REGEX, rb"^\x20\x09$")),
        ("CommandLine|startswith: ' '", text(REGEX, rb"^\x20")),
        ("CommandLine: null", text(GLOB, b"?*", negated=True)),
        ("CommandLine|exists: true", text(Operator.EXISTS)),
        ("CommandLine|exists: false", text(Operator.EXISTS, negated=True)),
        ("CommandLine: '*'", text(Operator.EXISTS)),
        ("CommandLine|contains: ''", text(Operator.EXISTS)),
        ("CommandLine|neq: ls", text(EQUALS, b"ls", negated=True)),
        ("CommandLine|base64: sh", text(EQUALS, b"c2g=")),
        (
            "CommandLine|base64offset|contains: foobar",
            text(CONTAINS, b"Zm9vYmFy", b"Zvb2Jhc", b"mb29iYX"),
        ),
        ("ProcessId: 1", Criterion(PID, EQUALS, (1,))),
        ("ProcessId: ['1', 2]", Criterion(PID, EQUALS, (1, 2))),
        ("ProcessId|lte: 300", Criterion(PID, Operator.LESS_OR_EQUAL, (300,))),
        ("ProcessId: null", Criterion(PID, Operator.EXISTS, (), negated=True)),
        ("User: root", Criterion(USER_ID, EQUALS, (0,))),
        ("LogonId: 0", Criterion(USER_ID, EQUALS, (0,))),
        ("User: root\nLogonId: 0", Criterion(USER_ID, EQUALS, (0,))),
        ("CurrentDirectory: /tmp", Criterion(CURRENT_DIRECTORY, EQUALS, (b"/tmp",))),
    ],
)
def test_one_criterion(tmp_path: Path, item: str, expected: Criterion) -> None:
    """A value would be trimmed, unescaped twice or compared in another way."""
    assert clauses_of(tmp_path, rule_with_image(item)) == [[expected, SHELL]]


SHELL = Criterion(IMAGE, ENDS, (b"/sh",))


def rule_with_image(item: str) -> str:
    """A rule with one thing and an image, so that something always remains to match."""
    return selecting(f"{item}\nImage|endswith: /sh")


@pytest.mark.parametrize(
    ("item", "value", "sensitive"),
    [
        ("CommandLine|re: 'a.c$'", rb"a[^\n]c\n?$", True),
        ("CommandLine|re|i: 'a.c'", rb"a[^\n]c", False),
        ("CommandLine|re|s: 'a.c'", rb"a.c", True),
        ("CommandLine|re: '(?is)a.c'", rb"a.c", False),
        (r"CommandLine|re: 'a\.c[.$]'", rb"a\.c[.$]", True),
        ("CommandLine|re: 'a+?b*?c{2}?d??e'", b"a+b*c{2}d?e", True),
        (r"CommandLine|re: 'a\+?b\\+?'", rb"a\+?b\\+", True),
        (r"CommandLine|re: 'a\ b'", rb"a\x20b", True),
        ("CommandLine|re: 12", b"12", True),
        ("CommandLine|cased: ABC", b"ABC", True),
    ],
)
def test_expressions_and_case(tmp_path: Path, item: str, value: bytes, sensitive: bool) -> None:  # noqa: FBT001
    """An expression would match line breaks, or letters of the other case."""
    ((criterion, _),) = clauses_of(tmp_path, rule_with_image(item))
    assert (criterion.values, criterion.case_sensitive) == ((value,), sensitive)


def test_the_empty_text_is_there_and_empty(tmp_path: Path) -> None:
    """A rule about an empty command line would match events without any."""
    assert clauses_of(tmp_path, rule_with_image("CommandLine: ''")) == [
        [text(Operator.EXISTS), text(GLOB, b"?*", negated=True), SHELL]
    ]


def test_all_values_must_be_there(tmp_path: Path) -> None:
    """`all` would be any."""
    assert clauses_of(tmp_path, selecting("CommandLine|contains|all: [' -i ', sh]")) == [
        [text(CONTAINS, b" -i "), text(CONTAINS, b"sh")]
    ]


def test_dashes_of_windows_are_any_of_all(tmp_path: Path) -> None:
    """A command line with the other dash would slip through."""
    ((criterion,),) = clauses_of(tmp_path, selecting("CommandLine|windash|contains: ' -e '"))
    assert criterion.operator is CONTAINS
    assert set(criterion.values) >= {b" -e ", b" /e ", " \u2013e ".encode()}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("DestinationIp: 10.0.0.1", (EQUALS, AddressPrefix(b"\x0a\0\0\1", 32))),
        ("DestinationIp: '::1'", (EQUALS, AddressPrefix(bytes(15) + b"\1", 128))),
        ("DestinationIp: 10.*", (Operator.CIDR, AddressPrefix(b"\x0a\0\0\0", 8))),
        ("DestinationIp|startswith: 192.168.", (Operator.CIDR, AddressPrefix(b"\xc0\xa8\0\0", 16))),
        ("DestinationIp: 'FE80:*'", (Operator.CIDR, AddressPrefix(b"\xfe\x80" + bytes(14), 16))),
        ("DestinationIp|cidr: 172.16.0.0/12", (Operator.CIDR, AddressPrefix(b"\xac\x10\0\0", 12))),
    ],
)
def test_addresses_at_both_ends(
    tmp_path: Path, item: str, expected: tuple[Operator, AddressPrefix]
) -> None:
    """The destination of an accepted connection would be looked for at the wrong end."""
    operator, prefix = expected
    assert clauses_of(tmp_path, selecting(item, NETWORK)) == [
        [Criterion(OPERATION, EQUALS, (CONNECT,)), Criterion(REMOTE_ADDRESS, operator, (prefix,))],
        [Criterion(OPERATION, EQUALS, (ACCEPT,)), Criterion(LOCAL_ADDRESS, operator, (prefix,))],
    ]


def test_ipv4_is_no_ipv6(tmp_path: Path) -> None:
    """A prefix of IPv6 that holds the mapped addresses would match all of IPv4."""
    ((_, inside, outside), _) = clauses_of(
        tmp_path, selecting("DestinationIp|cidr: '::/0'", NETWORK)
    )
    assert (inside.values, inside.negated) == ((AddressPrefix(bytes(16), 0),), False)
    assert (outside.values, outside.negated) == ((AddressPrefix(bytes(4), 0),), True)


@pytest.mark.parametrize("value", ["'false'", "false", "'False'"])
def test_who_accepts_has_a_source(tmp_path: Path, value: str) -> None:
    """A rule about incoming connections would be refused, or look at outgoing ones."""
    item = f"Initiated: {value}\nSourcePort: 4444\nDestinationPort: 22"
    assert clauses_of(tmp_path, selecting(item, NETWORK)) == [
        [
            Criterion(OPERATION, EQUALS, (ACCEPT,)),
            Criterion(REMOTE_PORT, EQUALS, (4444,)),
            Criterion(LOCAL_PORT, EQUALS, (22,)),
        ]
    ]


def test_files_are_written_with_success(tmp_path: Path) -> None:
    """A rule about new files would match their removal, or a failed attempt."""
    ((operation, result, path),) = clauses_of(
        tmp_path, selecting("TargetFilename|startswith: /etc/cron", "file_event")
    )
    assert (operation.values, result.operator, result.values) == (
        (2, 1),
        Operator.GREATER_OR_EQUAL,
        (Signed(0),),
    )
    assert path.values == (b"/etc/cron",)


def test_negation_moves_into_the_criteria(tmp_path: Path) -> None:
    """What a filter lets through would be lost, or what it stops reported."""
    text_of_rule = rule(
        "a: {Image: /bin/x}\n"
        "filter_one: {ParentImage|endswith: [/p, /q], CommandLine|contains: ok}\n"
        "filter_two: {CommandLine|contains: fine}\n"
        "condition: a and not 1 of filter_*\n"
    )
    wanted = Criterion(IMAGE, EQUALS, (b"/bin/x",))
    no_parent = Criterion(PARENT_IMAGE, ENDS, (b"/p", b"/q"), negated=True)
    assert clauses_of(tmp_path, text_of_rule) == [
        [wanted, no_parent, text(CONTAINS, b"fine", negated=True)],
        [wanted, text(CONTAINS, b"ok", b"fine", negated=True)],
    ]
