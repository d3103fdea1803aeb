"""What `bench.interpreter` compares the Content Interpreter with, each used as its users would.

    re loop          every instance on every event, with Python's own `re`
    RE2 sets         google-re2: one set per field finds the rarest criterion, the others confirm
    yara-x           one YARA rule per instance, one scan per event (`bench.interpreter_yara`)
    rule-engine      one rule per instance on each event as a dictionary; the library of that name
                     is what a search for a Python rule engine finds
    SQL on SQLite    events in memory, one SELECT per instance: how Zircolite, a detection tool in
                     Python, runs Sigma rules

Every engine gets the texts of the events ready decoded, in the form that suits it best, outside of
what is measured; the interpreter reads them out of records. Each evaluates the rarest criterion
first.
"""

import re
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache

import re2
import rule_engine

from bench.interpreter_load import COMMAND_LINE, IMAGE, PARENT_IMAGE, Load
from content.model import Criterion, Operator

Pair = tuple[int, int]
"""An event and an instance that matches it, by their numbers."""

RE2_SET_BYTES = 512 * 1024 * 1024
RE_FLAGS = re.IGNORECASE | re.DOTALL

NAMES = {IMAGE: "image", COMMAND_LINE: "command_line", PARENT_IMAGE: "parent_image"}

Search = Callable[[bytes], object]
Judges = Sequence[tuple[int, bool, Search]]
"""Field number, negation and compiled expression of each criterion of an instance."""


def criteria_of(load: Load) -> list[tuple[Criterion, ...]]:
    """The criteria of each instance; all have one clause."""
    return [instance.clauses[0].criteria for instance in load.channel_file.instances]


def expression(criterion: Criterion) -> bytes:
    """A criterion as an expression of `re`, case left aside."""
    parts = []
    for value in texts_of(criterion):
        match criterion.operator:
            case Operator.REGEX:
                parts.append(value)
            case Operator.ENDS_WITH:
                parts.append(re.escape(value) + rb"\Z")
            case Operator.STARTS_WITH:
                parts.append(rb"\A" + re.escape(value))
            case Operator.EQUALS:
                parts.append(rb"\A" + re.escape(value) + rb"\Z")
            case _:
                parts.append(re.escape(value))
    return b"|".join(b"(?:%b)" % part for part in parts)


def texts_of(criterion: Criterion) -> list[bytes]:
    """The values of a criterion; all are texts."""
    return [value for value in criterion.values if isinstance(value, bytes)]


class ReLoop:
    """Every instance on every event."""

    batch = 50

    def __init__(self, load: Load) -> None:
        self._load = load
        self._instances: list[Judges] = []

    def make_ready(self) -> None:
        """Compile every criterion."""
        self._instances = [
            [(c.field, c.negated, re.compile(expression(c), RE_FLAGS).search) for c in criteria]
            for criteria in criteria_of(self._load)
        ]

    def matches(self, rows: range) -> list[Pair]:
        """All matches in these events."""
        found = []
        for row in rows:
            event = self._load.texts[row]
            for number, judges in enumerate(self._instances):
                for field, negated, search in judges:
                    if (search(event[field]) is None) is not negated:
                        break
                else:
                    found.append((row, number))
        return found


class Re2Sets:
    """One set per field; an instance is looked at where its first criterion hit."""

    batch = 2000

    def __init__(self, load: Load) -> None:
        self._load = load
        self._sets: dict[int, re2.Set] = {}
        self._owners: dict[int, list[tuple[int, Judges]]] = {}

    def make_ready(self) -> None:
        """Fill and compile the sets."""
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.case_sensitive = False
        options.dot_nl = True
        options.max_mem = RE2_SET_BYTES
        for number, (first, *others) in enumerate(criteria_of(self._load)):
            if first.field not in self._sets:
                self._sets[first.field] = re2.Set.SearchSet(options)
            self._sets[first.field].Add(_for_re2(first))
            judges = [
                (c.field, c.negated, re2.compile(_for_re2(c), options).search) for c in others
            ]
            self._owners.setdefault(first.field, []).append((number, judges))
        for one in self._sets.values():
            one.Compile()

    def matches(self, rows: range) -> list[Pair]:
        """All matches in these events."""
        found = []
        sets = [(field, one.Match, self._owners[field]) for field, one in self._sets.items()]
        for row in rows:
            event = self._load.texts[row]
            for field, match, owners in sets:
                for hit in match(event[field]) or ():
                    number, judges = owners[hit]
                    if all((find(event[at]) is not None) is not no for at, no, find in judges):
                        found.append((row, number))
        return found


def _for_re2(criterion: Criterion) -> bytes:
    return expression(criterion).replace(rb"\Z", rb"\z")


class RuleEngine:
    """One rule per instance, all of them on each event."""

    batch = 10

    def __init__(self, load: Load) -> None:
        self._load = load
        self._events = [_by_name(load, row) for row in range(len(load.texts))]
        self._rules: list[rule_engine.Rule] = []

    def make_ready(self) -> None:
        """Parse the rules; the context says of which types the fields are."""
        context = rule_engine.Context(
            regex_flags=RE_FLAGS,
            type_resolver=rule_engine.type_resolver_from_dict(
                dict.fromkeys(NAMES.values(), rule_engine.DataType.STRING)
            ),
        )
        self._rules = [
            rule_engine.Rule(" and ".join(map(_for_rule_engine, criteria)), context=context)
            for criteria in criteria_of(self._load)
        ]

    def matches(self, rows: range) -> list[Pair]:
        """All matches in these events."""
        return [
            (row, number)
            for row in rows
            for number, rule in enumerate(self._rules)
            if rule.matches(self._events[row])
        ]


def _by_name(load: Load, row: int) -> dict[str, str]:
    return {NAMES[field]: text.decode("ascii") for field, text in load.texts[row].items()}


def _for_rule_engine(criterion: Criterion) -> str:
    compare = "!~~" if criterion.negated else "=~~"
    text = expression(criterion).decode("ascii").replace("\\", r"\\")
    return f'{NAMES[criterion.field]} {compare} "{text}"'


class Sqlite:
    """One SELECT per instance over a table of events."""

    batch = 2000

    def __init__(self, load: Load) -> None:
        self._load = load
        self._events = [(row, *_by_name(load, row).values()) for row in range(len(load.texts))]
        size = len(load.channel_file.instances)
        self._database = sqlite3.connect(":memory:", cached_statements=size + CACHED_BESIDE)
        self._database.create_function("regexp", 2, _regexp, deterministic=True)
        columns = ", ".join(f"{NAMES[field]} TEXT" for field in load.texts[0])
        self._database.execute(f"CREATE TABLE events (event INTEGER PRIMARY KEY, {columns})")
        self._queries: list[str] = []

    def make_ready(self) -> None:
        """Write the queries, and have each prepared by running it on no event."""
        self._queries = [
            f"SELECT event FROM events WHERE {' AND '.join(map(_in_sql, criteria))}"  # noqa: S608 - of our own
            for criteria in criteria_of(self._load)
        ]
        for query in self._queries:
            self._database.execute(query).fetchall()

    def matches(self, rows: range) -> list[Pair]:
        """All matches in these events."""
        database = self._database
        events = self._events[rows.start : rows.stop]
        database.execute("DELETE FROM events")
        database.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", events)
        return [
            (row, number)
            for number, query in enumerate(self._queries)
            for (row,) in database.execute(query)
        ]


CACHED_BESIDE = 8
"""Statements beside the queries that SQLite keeps prepared."""

_compiled = cache(re.compile)


def _regexp(pattern: str, text: str) -> bool:
    return _compiled(pattern, RE_FLAGS).search(text) is not None


def _in_sql(criterion: Criterion) -> str:
    name = NAMES[criterion.field]
    compared = []
    for value in texts_of(criterion):
        text = value.decode("ascii").replace("'", "''")
        if criterion.operator is Operator.REGEX:
            compared.append(f"{name} REGEXP '{text}'")
            continue
        text = text.replace("%", r"\%").replace("_", r"\_")
        before = "" if criterion.operator in (Operator.STARTS_WITH, Operator.EQUALS) else "%"
        behind = "" if criterion.operator in (Operator.ENDS_WITH, Operator.EQUALS) else "%"
        compared.append(f"{name} LIKE '{before}{text}{behind}' ESCAPE '\\'")
    return ("NOT " if criterion.negated else "") + f"({' OR '.join(compared)})"
