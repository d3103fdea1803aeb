"""Any bytes are refused as a Channel File, or say exactly what they pack back to.

What the loader lets through is judged by the validator, which must not break on it either.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from content.channel_file import load, pack
from content.checking import read_all
from content.definitions import load_definitions
from content.problems import ContentError
from content.supply import Supply
from content.template_type import Rung
from content.validator import validate
from tests.fuzz.target import Target
from tests.needs import CHECKOUT
from tests.unit.content.examples import VALUES_OF_EVERY_KIND

TYPES = load_definitions()
SUPPLY = Supply.of(TYPES, Rung.BPF_BTF)


def one_input(data: bytes) -> None:
    """Load, and judge what was loaded."""
    with suppress(ContentError):
        channel_file = load(data)
        assert pack(channel_file) == data
        validate(channel_file, SUPPLY, TYPES)


def seeds() -> Iterator[bytes]:
    """The shipped instances, each in a file of its own, and one file with values of every kind."""
    yield pack(VALUES_OF_EVERY_KIND)
    for one in read_all([CHECKOUT / "content" / "instances"], TYPES).authored:
        for instance in one.channel_file.instances:
            yield pack(replace(one.channel_file, instances=(instance,)))


TARGET = Target(one_input, seeds, quick_runs=50_000)
