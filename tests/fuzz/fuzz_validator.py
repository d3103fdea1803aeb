"""What the validator accepts, the loader gives back the same and the interpreter evaluates soundly.

Content is drawn so that much of it is accepted: instances that have all that is asked for beside
their clauses, some of whose criteria are wild.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from content.channel_file import load, pack
from content.model import (
    ChannelFile,
    Clause,
    Criterion,
    Operator,
    Sample,
    Signed,
    TemplateInstance,
    Value,
)
from content.record import encode
from content.supply import Supply
from content.template_type import Rung
from content.validator import validate
from tests.fuzz import agreement, drawn
from tests.fuzz.choices import Choices
from tests.fuzz.target import Target
from tests.unit.content.event_strategies import (
    EVERY_KIND,
    SIGNED_EDGES,
    UNSIGNED_EDGES,
    channel_file,
)

SUPPLY = Supply.of(agreement.TYPES, Rung.BPF_BTF)


def one_input(data: bytes) -> None:
    """Draw content, validate it, and use what was accepted."""
    content = _content(Choices(data))
    if validate(content, SUPPLY, agreement.TYPES):
        return
    assert load(pack(content)) == content
    samples = [sample for instance in content.instances for sample in instance.samples]
    records = [encode(EVERY_KIND, one.record_inputs(), rung=Rung.BPF_BTF) for one in samples]
    agreement.require(content, np.concatenate(records))


def _content(choices: Choices) -> ChannelFile:
    content = channel_file(*choices.some(_clauses, 1, 2))
    return replace(
        content, instances=tuple(_with_samples(choices, one) for one in content.instances)
    )


def _clauses(choices: Choices) -> tuple[Clause, ...]:
    return choices.some(_wild_clause if choices.once_in(4) else drawn.clause, 1, 2)


def _wild_clause(choices: Choices) -> Clause:
    return Clause(choices.some(_wild_criterion, 1, 2))


def _wild_criterion(choices: Choices) -> Criterion:
    return Criterion(
        field=choices.number(EVERY_KIND.arity + 2),
        operator=choices.pick(list(Operator)),
        values=choices.some(_wild_value, 0, 2),
        negated=choices.once_in(2),
        case_sensitive=choices.once_in(3),
    )


def _wild_value(choices: Choices) -> Value:
    kinds: tuple[Callable[[], Value], ...] = (
        lambda: drawn.text(choices, 30),
        lambda: drawn.expression(choices),
        lambda: choices.pick(UNSIGNED_EDGES),
        lambda: Signed(choices.pick(SIGNED_EDGES)),
        lambda: drawn.prefix(choices),
    )
    return choices.pick(kinds)()


def _with_samples(choices: Choices, instance: TemplateInstance) -> TemplateInstance:
    return replace(
        instance,
        samples=(
            Sample("one", must_match=True, inputs=_inputs(choices)),
            Sample("two", must_match=False, inputs=_inputs(choices)),
        ),
    )


def _inputs(choices: Choices) -> dict[int, Value]:
    event = drawn.event(choices) or {1: 1}
    return {
        number: drawn.sample_value(EVERY_KIND.field(number), value)
        for number, value in event.items()
    }


def seeds() -> Iterator[bytes]:
    """Choices by lot, the same in every run."""
    lot = random.Random(2)  # noqa: S311 - nothing is secret
    return (lot.randbytes(size) for size in (16, 64, 128, 256) for _ in range(8))


TARGET = Target(one_input, seeds, quick_runs=3_500, max_bytes=512)
