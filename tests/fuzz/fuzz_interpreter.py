"""The interpreter finds in any events what the slow reference finds, on both of its matchers."""

import random
from collections.abc import Iterator

from tests.fuzz import agreement, drawn
from tests.fuzz.choices import Choices
from tests.fuzz.target import Target
from tests.unit.content.event_strategies import channel_file


def one_input(data: bytes) -> None:
    """Draw content and events, and evaluate in three ways."""
    choices = Choices(data)
    content = channel_file(*choices.some(drawn.clauses, 1, 4))
    agreement.require(content, drawn.batch(choices))


def seeds() -> Iterator[bytes]:
    """Choices by lot, the same in every run."""
    lot = random.Random(1)  # noqa: S311 - nothing is secret
    return (lot.randbytes(size) for size in (16, 64, 128, 256, 512) for _ in range(8))


TARGET = Target(one_input, seeds, quick_runs=2_500, max_bytes=512)
