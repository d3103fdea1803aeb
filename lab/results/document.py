"""A result as a JSON document, and back. Pure.

The version is that of this module's words: whoever changes a key or its meaning raises it. Files of
another version are refused, not guessed at; the cell is run again.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from lab.cells.model import Cell, Environment, Expectation, Measured, Outcome, Result
from lab.results import fields
from lab.results.fields import Fields

VERSION = 1


@dataclass(frozen=True, slots=True)
class Recorded:
    """A result, and a digest of all that it was made from: sources, host, runner."""

    result: Result
    inputs: str


def text_of(recorded: Recorded) -> str:
    """The document, in ASCII: nothing that a guest said can trick a terminal."""
    values = {fields.SCHEMA: VERSION, "inputs": recorded.inputs, **asdict(recorded.result)}
    return json.dumps(values, indent=1) + "\n"


def read(text: str, file: str) -> Recorded:
    """What a document says; ResultsError names the file and the place."""
    found = fields.parse(text, file, VERSION)
    measured = None if found.values.get("measured") is None else _measured(found.within("measured"))
    failure = found.text("failure")
    if (measured is None) == (failure == ""):
        raise found.wrong("failure", "a reason exactly where there is no measurement")
    result = Result(
        cell=_cell(found.within("cell")),
        expected=_expectation(found.within("expected")),
        environment=_environment(found.within("environment")),
        started=found.text("started"),
        measured=measured,
        failure=failure,
        files=found.named_texts("files"),
    )
    return Recorded(result, found.text("inputs"))


def _cell(found: Fields) -> Cell:
    return Cell(found.text("arm"), found.text("fault"))


def _expectation(found: Fields) -> Expectation:
    return Expectation(_outcome(found), found.text("why"))


def _outcome(found: Fields) -> Outcome:
    try:
        return Outcome(found.text("outcome"))
    except ValueError as error:
        raise found.wrong("outcome", f"one of {', '.join(Outcome)}") from error


def _environment(found: Fields) -> Environment:
    return Environment(
        runner=found.text("runner"),
        accelerator=found.text("accelerator"),
        release=found.text("release"),
        kernel=found.text("kernel"),
        processors=found.count("processors"),
        memory_mebibytes=found.count("memory_mebibytes"),
    )


def _measured(found: Fields) -> Measured:
    values: dict[str, Any] = {
        "outcome": _outcome(found),
        "panics": found.count("panics"),
        "said": found.text("said"),
        "seconds": found.seconds("seconds"),
    }
    values |= {name: found.texts(name) for name in ("boots", "manual_steps", "died")}
    values |= {n: found.seconds_or_none(n) for n in ("restored_seconds", "gap_seconds")}
    values |= {n: found.count_or_none(n) for n in ("events_lost", "events_uncounted")}
    return Measured(**values)
