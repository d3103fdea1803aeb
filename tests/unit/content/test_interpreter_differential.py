"""Interpreter on Hyperscan, interpreter on RE2 and the slow reference agree on random content."""

import pytest
from hypothesis import HealthCheck, given, settings

from content.interpreter import Engine, Interpreter
from content.matching.hyperscan_matcher import HyperscanMatcher
from content.matching.matcher import MatcherFactory
from content.matching.re2_matcher import Re2Matcher
from content.model import ChannelFile
from content.record import Records
from tests.unit.content import reference_evaluator
from tests.unit.content.event_strategies import CHANNEL_FILES, EVERY_KIND, batches

TYPES = {EVERY_KIND.number: EVERY_KIND}
MATCHERS: list[MatcherFactory] = [HyperscanMatcher, Re2Matcher]


def found_by(engine: Engine, records: Records) -> reference_evaluator.Found:
    """What an engine finds, as the reference says it."""
    evaluation = engine.evaluate(EVERY_KIND, records)
    assert not evaluation.faults
    return [(match.row, match.instance.id, match.clause) for match in evaluation.matches]


@pytest.mark.parametrize("matcher", MATCHERS)
@given(channel_file=CHANNEL_FILES, records=batches())
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_agrees_with_the_reference(
    matcher: MatcherFactory, channel_file: ChannelFile, records: Records
) -> None:
    """A fast path would find more or less than the criteria say."""
    expected = reference_evaluator.evaluate([channel_file], EVERY_KIND, records)
    engine = Interpreter([channel_file], TYPES, matcher=matcher)
    assert found_by(engine, records) == expected
