"""The Channel Files of July 2024 are what they say, and every check of the product sees through."""

import pytest

from content.channel_file import content_hash, load
from content.definitions import load_definitions
from content.interpreter import Interpreter
from content.problems import ContentError
from content.reasons import Reason
from content.supply import Supply
from content.template_type import Rung
from content.validator import validate
from lab import july19

TYPES = load_definitions()
IPC = next(one for one in TYPES.values() if one.name == "ipc")
SUPPLY = Supply.of(TYPES, Rung.BPF_BTF)
VERSION = 20240719


def _reasons(payload: bytes) -> set[Reason]:
    return {problem.reason for problem in validate(load(payload), SUPPLY, TYPES)}


def test_the_gap_is_one_field() -> None:
    """The replay would be of another incident."""
    believed = july19.definition_with_21_fields(TYPES)
    assert (IPC.arity, believed.arity) == (20, 21)
    assert believed.fields[:20] == IPC.fields
    assert (believed.number, believed.version) == (IPC.number, IPC.version)
    assert believed.fingerprint != IPC.fingerprint


def test_only_july_has_a_criterion_on_field_21() -> None:
    """The months before would have crashed, or July would not."""
    fields = {
        wildcard: {
            criterion.field
            for instance in load(july19.channel_file(TYPES, VERSION, wildcard=wildcard)).instances
            for clause in instance.clauses
            for criterion in clause.criteria
        }
        for wildcard in (True, False)
    }
    assert fields[False] == {21}
    assert fields[True] < set(range(1, 21))


@pytest.mark.parametrize("wildcard", [True, False])
def test_the_validator_refuses_the_arity(*, wildcard: bool) -> None:
    """Past success would waive the gate again."""
    found = _reasons(july19.channel_file(TYPES, VERSION, wildcard=wildcard))
    assert {Reason.ARITY_MISMATCH, Reason.FINGERPRINT_MISMATCH} <= found


def test_the_validator_names_the_criterion() -> None:
    """An author would not learn which criterion reads an input that nobody supplies."""
    payload = july19.channel_file(TYPES, VERSION, wildcard=False)
    places = {problem.place for problem in validate(load(payload), SUPPLY, TYPES)}
    assert "instances[0].clauses[0].criteria[0].field" in places


def test_the_validator_refuses_the_disguised_file() -> None:
    """Whoever writes the reference by hand would get past it."""
    payload = july19.disguised_channel_file(TYPES, VERSION)
    reference = load(payload).template_type
    assert (reference.arity, reference.fingerprint) == (IPC.arity, IPC.fingerprint)
    assert _reasons(payload) == {Reason.FIELD_OUT_OF_RANGE}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (july19.channel_file(TYPES, VERSION, wildcard=False), Reason.ARITY_MISMATCH),
        (july19.channel_file(TYPES, VERSION, wildcard=True), Reason.ARITY_MISMATCH),
        (july19.disguised_channel_file(TYPES, VERSION), Reason.FIELD_OUT_OF_RANGE),
    ],
)
def test_the_interpreter_refuses_even_without_validation(payload: bytes, reason: Reason) -> None:
    """A validator with an error in it, as in 2024, would be the only thing in between."""
    with pytest.raises(ContentError) as refused:
        Interpreter([load(payload)], TYPES)
    assert refused.value.problems[0].reason == reason


def test_files_differ_by_version_and_survive_their_envelope() -> None:
    """A quarantine by hash would meet the wrong file."""
    payloads = [july19.channel_file(TYPES, version, wildcard=False) for version in (1, 2)]
    assert content_hash(payloads[0]) != content_hash(payloads[1])
    assert july19.payload_of(july19.unsigned(payloads[0])) == payloads[0]
