"""Which matcher is used: Hyperscan where it can be imported and runs here, else RE2."""

from collections.abc import Sequence
from functools import cache

from content.matching.matcher import Matcher, MatcherError, MatcherFactory
from content.matching.pattern import Pattern


@cache
def default_factory() -> MatcherFactory:
    """What builds matchers of the default kind."""
    from content.matching.re2_matcher import Re2Matcher  # noqa: PLC0415  one of the two is enough

    try:
        from content.matching.hyperscan_matcher import HyperscanMatcher  # noqa: PLC0415

        HyperscanMatcher([Pattern(b"probe")])
    except (ImportError, MatcherError):
        return Re2Matcher
    return HyperscanMatcher


def build_default(patterns: Sequence[Pattern]) -> Matcher:
    """A matcher of the default kind."""
    return default_factory()(patterns)
