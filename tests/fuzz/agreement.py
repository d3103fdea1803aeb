"""Both matchers of the interpreter against the slow reference."""

from content.interpreter import Interpreter
from content.matching.hyperscan_matcher import HyperscanMatcher
from content.matching.re2_matcher import Re2Matcher
from content.model import ChannelFile
from content.record import Records
from tests.unit.content import reference_evaluator
from tests.unit.content.event_strategies import EVERY_KIND

TYPES = {EVERY_KIND.number: EVERY_KIND}


def require(content: ChannelFile, records: Records) -> None:
    """AssertionError where one of them finds something else, or has a fault."""
    expected = reference_evaluator.evaluate([content], EVERY_KIND, records)
    for matcher in (HyperscanMatcher, Re2Matcher):
        engine = Interpreter([content], TYPES, matcher=matcher)
        evaluation = engine.evaluate(EVERY_KIND, records)
        assert not evaluation.faults, (content, evaluation.faults)
        found = [(one.row, one.instance.id, one.clause) for one in evaluation.matches]
        assert found == expected, (matcher.__name__, content, records)
