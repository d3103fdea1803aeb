"""Any bytes are refused as a Channel File, or say exactly what they pack back to.

What the loader lets through is judged by the validator, which must not break on it either.
"""

from collections.abc import Iterator
from contextlib import suppress

from content.authoring import assemble, read_instance
from content.channel_file import load, pack
from content.definitions import load_definitions
from content.problems import ContentError
from content.supply import Supply
from content.template_type import Rung
from content.validator import validate
from tests.fuzz.target import Target
from tests.needs import CHECKOUT
from tests.unit.content.examples import VALUES_OF_EVERY_KIND

TYPES = load_definitions()
SEEDS_OF_A_TYPE = 2
SUPPLY = Supply.of(TYPES, Rung.BPF_BTF)


def one_input(data: bytes) -> None:
    """Load, and judge what was loaded."""
    with suppress(ContentError):
        channel_file = load(data)
        assert pack(channel_file) == data
        validate(channel_file, SUPPLY, TYPES)


def seeds() -> Iterator[bytes]:
    """Some shipped instances of each type, one by one, and a file with values of every kind."""
    yield pack(VALUES_OF_EVERY_KIND)
    for folder in sorted((CHECKOUT / "content" / "instances").iterdir()):
        for file in sorted(folder.glob("*.yaml"))[:SEEDS_OF_A_TYPE]:
            (one,) = assemble([read_instance(file, TYPES)], version=1)
            yield pack(one.channel_file)


TARGET = Target(one_input, seeds, quick_runs=50_000)
