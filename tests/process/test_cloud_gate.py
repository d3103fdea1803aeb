"""The serving process's own check: the real validator beside it, and validators that break."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud.catalogue import Library
from cloud.gate import COMMAND, Gate, ValidatorProcess
from cloud.limits import LIMITS
from cloud.offers import Release
from cloud.push import read_candidates, store
from cloud.signing import SigningKey
from cloud.store.database import Database
from content.template_type import Rung
from tests.process.cloud_agent import hello
from tests.process.cloud_files import TYPES, channel_file, july_19, write

QUICK = replace(LIMITS, validation_seconds=0.5)
NOW_NS = 1


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    made = Database.create(tmp_path / "cloud.sqlite")
    yield made
    made.close()


@pytest.fixture
def key() -> SigningKey:
    """An operator's key."""
    return SigningKey.generate()


def push(database: Database, key: SigningKey, *files: Path) -> None:
    """Push files, sound or not."""
    store(database, read_candidates(files, TYPES, unsafe=True), [key], NOW_NS, unsafe=True)


def judged(
    database: Database,
    key: SigningKey,
    story: Callable[[Gate, list[Release]], Awaitable[None]],
    *command: str,
) -> None:
    """Run a story with a gate that starts this validator."""

    async def run() -> None:
        library = Library(database, LIMITS)
        await library.refresh()
        limits = QUICK if command else LIMITS
        validator = ValidatorProcess(limits, command or COMMAND)
        gate = Gate(library, lambda: [key.trusted()], validator, limits)
        try:
            await story(gate, list(library.catalogue.releases.values()))
        finally:
            await gate.close()
            library.close()

    asyncio.run(run())


def test_the_verdict_depends_on_what_the_sensor_supplies(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """The cloud would believe a Definition again, not what a sensor has."""
    good = write(tmp_path / "good.channel", channel_file(1))
    push(database, key, good, write(tmp_path / "bad.channel", july_19(2)))
    other = hello("other")
    ipc = next(one for one in other.supplied if one.name == "ipc")
    ipc.template_type.arity = 19
    del ipc.supplied_fields[19:]

    async def story(gate: Gate, releases: list[Release]) -> None:
        sound, july = sorted(releases, key=lambda one: one.version)
        assert await gate.refusals(sound, hello("a")) == ()
        assert {one.reason for one in await gate.refusals(july, hello("a"))} >= {
            "ARITY_MISMATCH",
            "FIELD_OUT_OF_RANGE",
        }
        assert {one.reason for one in await gate.refusals(sound, other)} == {"ARITY_MISMATCH"}
        (lower,) = await gate.refusals(sound, hello("a", Rung.PSUTIL))
        assert lower.reason == "TEMPLATE_TYPE_NOT_SUPPLIED"

    judged(database, key, story)


def test_a_thousand_sensors_of_one_kind_cost_one_validation(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """A push to a large fleet would take minutes."""
    push(database, key, write(tmp_path / "good.channel", channel_file(1)))

    async def story(gate: Gate, releases: list[Release]) -> None:
        await gate.refusals(releases[0], hello("first"))
        began = time.monotonic()
        names = [hello(f"host-{number}") for number in range(1000)]
        found = await asyncio.gather(*(gate.refusals(releases[0], one) for one in names))
        assert set(found) == {()}
        assert time.monotonic() - began < 15  # a thousand validations take a minute

    judged(database, key, story)


def test_a_foreign_signature_is_refused_before_anything_is_parsed(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """Whoever can write to the store could have anything offered."""
    push(database, SigningKey.generate(), write(tmp_path / "good.channel", channel_file(1)))

    async def story(gate: Gate, releases: list[Release]) -> None:
        (refusal,) = await gate.refusals(releases[0], hello("a"))
        assert refusal.reason == "SIGNATURE_INVALID"

    judged(database, key, story, "/bin/false")


@pytest.mark.parametrize(
    "command",
    [
        ("/bin/false",),
        ("/bin/sleep", "60"),
        (
            sys.executable,
            "-c",
            "import sys; sys.stdout.write('\\0\\0\\0\\5nope!'); sys.stdout.flush()",
        ),
        ("/nonexistent/validator",),
    ],
    ids=["dies", "hangs", "talks nonsense", "is not there"],
)
def test_a_broken_validator_is_a_refusal(
    database: Database, key: SigningKey, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Content that crashes or hangs the validator would take the cloud down, or be offered."""
    push(database, key, write(tmp_path / "good.channel", channel_file(1)))

    async def story(gate: Gate, releases: list[Release]) -> None:
        (refusal,) = await gate.refusals(releases[0], hello("a"))
        assert refusal.reason == "VALIDATOR_FAILED"

    judged(database, key, story, *command)


def test_the_validator_comes_back_after_its_death(
    database: Database, key: SigningKey, tmp_path: Path
) -> None:
    """One crash would keep all later content from the fleet."""
    push(database, key, write(tmp_path / "good.channel", channel_file(1)))

    async def story(gate: Gate, releases: list[Release]) -> None:
        assert await gate.refusals(releases[0], hello("a")) == ()
        process = gate._validator._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        (refusal,) = await gate.refusals(releases[0], hello("b", Rung.PSUTIL))
        assert refusal.reason == "TEMPLATE_TYPE_NOT_SUPPLIED"

    judged(database, key, story)
