"""yara-x as a peer for `bench.interpreter`: one rule per instance, the whole instance in the rule.

YARA knows one text, so the fields of an event stand in it with separators between them, and what is
searched in a command line has to be found behind where that begins. All rules are compiled
together, and one scanner is used for all events. Many events in one scan would be faster, but which
parts belong to the same event is beyond YARA's language.
"""

from collections.abc import Sequence

import yara_x

from bench.interpreter_load import COMMAND_LINE, IMAGE, PARENT_IMAGE, Load
from bench.interpreter_peers import Pair, criteria_of, texts_of
from content.model import Criterion, Operator

AROUND = {IMAGE: (b"\x01", b"\x02"), PARENT_IMAGE: (b"\x02", b"\x03"), COMMAND_LINE: (b"\x03", b"")}
"""What stands before and behind each field in the text that YARA scans."""


class YaraRules:
    """One rule per instance; the whole instance is in the rule."""

    batch = 50

    def __init__(self, load: Load) -> None:
        self._load = load
        self._scanner: yara_x.Scanner | None = None

    def make_ready(self) -> None:
        """Write and compile the rules."""
        compiler = yara_x.Compiler()
        compiler.define_global("command_line", 0)
        rules = (_yara_rule(n, criteria) for n, criteria in enumerate(criteria_of(self._load)))
        compiler.add_source("\n".join(rules))
        self._scanner = yara_x.Scanner(compiler.build())

    def matches(self, rows: range) -> list[Pair]:
        """All matches in these events."""
        scanner = self._scanner
        if scanner is None:
            raise RuntimeError("not made ready")
        found: list[Pair] = []
        for row in rows:
            event = self._load.texts[row]
            head = b"\x01%b\x02%b\x03" % (event[IMAGE], event[PARENT_IMAGE])
            scanner.set_global("command_line", len(head))
            rules = scanner.scan(head + event[COMMAND_LINE]).matching_rules
            found += [(row, int(rule.identifier[1:])) for rule in rules]
        return found


def _yara_rule(number: int, criteria: Sequence[Criterion]) -> str:
    strings, conditions = [], []
    for place, criterion in enumerate(criteria):
        names = []
        for index, value in enumerate(texts_of(criterion)):
            name = f"${place}_{index}"
            strings.append(f"{name} = {_yara_pattern(criterion, value)}")
            names.append(_yara_condition(criterion, name))
        conditions.append(("not " if criterion.negated else "") + f"({' or '.join(names)})")
    return (
        f"rule r{number} {{ strings: {' '.join(strings)} condition: {' and '.join(conditions)} }}"
    )


def _yara_pattern(criterion: Criterion, value: bytes) -> str:
    if criterion.operator is Operator.REGEX:
        return f"/{value.decode('ascii').replace('/', chr(92) + '/')}/si"
    before, behind = AROUND[criterion.field]
    if criterion.operator not in (Operator.STARTS_WITH, Operator.EQUALS):
        before = b""
    if criterion.operator not in (Operator.ENDS_WITH, Operator.EQUALS):
        behind = b""
    return '"' + "".join(f"\\x{byte:02x}" for byte in before + value + behind) + '" nocase'


def _yara_condition(criterion: Criterion, name: str) -> str:
    """The pattern itself comes first: YARA then rarely has to look where it is."""
    if criterion.field != COMMAND_LINE:
        return name
    if criterion.operator is Operator.ENDS_WITH:
        length = max(map(len, texts_of(criterion)))
        return f"({name} and {name} at filesize - {length})"
    return f"({name} and {name} in (command_line..filesize))"
