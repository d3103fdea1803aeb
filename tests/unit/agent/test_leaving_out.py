"""Instances in quarantine are not given to the engine; what they might have matched is counted."""

from agent.evaluator.inquest import PARTS, parts
from agent.evaluator.leaving_out import KeptFile, leave_out, left_out_of
from content.channel_file import load
from content.definitions import load_definitions
from content.instance_digest import instance_digests
from content.reasons import Reason
from lab.poisoned.content import BULK_POISON, ROW_POISON, channel_file

TYPES = load_definitions()
PAYLOAD = channel_file(TYPES, 3, [ROW_POISON, BULK_POISON])
WHOLE = load(PAYLOAD)
DIGESTS = {
    instance.id: digest.hex()
    for instance, digest in zip(WHOLE.instances, instance_digests(PAYLOAD, WHOLE), strict=True)
}


def kept(*names: str) -> KeptFile:
    """The file with these in quarantine."""
    return leave_out(PAYLOAD, WHOLE, {DIGESTS[name] for name in names} | {"0" * 64})


def test_only_what_is_quarantined_is_left_out() -> None:
    """Poison would be run, or innocent instances be lost with it."""
    file = kept(ROW_POISON)
    ids = [one.id for one in WHOLE.instances if one.id != ROW_POISON]
    assert [one.id for one in file.kept.instances] == ids
    assert file.kept.version == WHOLE.version
    assert file.whole is WHOLE


def test_what_is_left_keeps_its_digests() -> None:
    """After a death the neighbour of the suspect would be named."""
    named = kept(ROW_POISON).named()
    assert len(named) == len(WHOLE.instances) - 1
    assert {name: digest.hex() for name, digest in named}.items() <= DIGESTS.items()


def test_what_is_left_out_is_told() -> None:
    """Nobody would know that an instance is not run, and why."""
    (fault,) = kept(BULK_POISON).left_out
    assert (fault.instance.id, fault.reason) == (BULK_POISON, Reason.INSTANCE_QUARANTINED)
    assert fault.detail == DIGESTS[BULK_POISON]
    assert left_out_of([kept(BULK_POISON, ROW_POISON)]) == {WHOLE.template_type.number: 2}


def test_a_file_without_quarantine_is_as_it_was() -> None:
    """Every load would copy all content."""
    assert kept().kept is WHOLE
    assert left_out_of([kept()]) == {}


def test_all_instances_may_be_left_out() -> None:
    """A file whose last instance goes would end the evaluator."""
    file = kept(*DIGESTS)
    assert file.kept.instances == ()
    assert file.named() == []


def test_parts_cover_all_instances_once() -> None:
    """An inquest would pass over the poison instance, or never come down to one."""
    for first, count in ((0, 1), (0, 31), (5, 32), (7, 33), (0, 1000), (3, 99_999)):
        found = list(parts(first, count))
        assert len(found) == min(PARTS, count)
        assert all(each >= 1 for _, each in found)
        covered = [at for start, each in found for at in range(start, start + each)]
        assert covered == list(range(first, first + count))
    assert list(parts(4, 0)) == []
