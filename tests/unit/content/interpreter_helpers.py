"""Short forms for tests of the interpreter on EVERY_KIND."""

from collections.abc import Mapping

import numpy as np

from content.interpreter import Interpreter
from content.matching.batch import Batch
from content.matching.column import Rows
from content.matching.hyperscan_matcher import HyperscanMatcher
from content.matching.matcher import MatcherFactory
from content.matching.re2_matcher import Re2Matcher
from content.matching.work import Meter
from content.model import Clause, Criterion, Operator, Value
from content.record import Records, encode
from content.template_type import Rung, TemplateType
from tests.unit.content.event_strategies import EVERY_KIND

TYPES = {EVERY_KIND.number: EVERY_KIND}
ENUM, PATH, ARGUMENTS, SIZE, RESULT, ADDRESS, IMAGE = range(1, 8)
MATCHERS: list[MatcherFactory] = [HyperscanMatcher, Re2Matcher]


def records(
    *events: Mapping[int, bytes] | Mapping[int, int] | Mapping[int, bytes | int],
) -> Records:
    """One record per event."""
    return np.concatenate([encode(EVERY_KIND, dict(event), rung=Rung.BPF_BTF) for event in events])


def never() -> int:
    """A clock that stands still: what is left is counted work."""
    return 0


def batch_of(found: Records, rows: Rows, template_type: TemplateType = EVERY_KIND) -> Batch:
    """These rows as the interpreter would make them a batch."""
    return Batch(template_type, found, rows, Meter(never, len(rows)))


def clauses(*criteria: Criterion) -> tuple[Clause, ...]:
    """An instance of one clause."""
    return (Clause(criteria),)


def matched(engine: Interpreter, batch: Records) -> list[tuple[int, str]]:
    """Rows and instances that matched."""
    return [(one.row, one.instance.id) for one in engine.evaluate(EVERY_KIND, batch).matches]


def is_one(field: int, value: Value, operator: Operator = Operator.EQUALS) -> Criterion:
    """A criterion with one value."""
    return Criterion(field, operator, (value,))
