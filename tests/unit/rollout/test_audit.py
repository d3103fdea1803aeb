"""The audit log's hash chain."""

from dataclasses import replace

from cloud.rollout.audit import FIRST, Entry, digest_of, first_broken


def chain(length: int = 5) -> list[Entry]:
    """A sound log."""
    entries: list[Entry] = []
    before = FIRST
    for number in range(1, length + 1):
        entry = Entry(number, number * 10, "alice", "push", f"ipc {number}", "{}", b"")
        before = digest_of(entry, before)
        entries.append(replace(entry, digest=before))
    return entries


def test_a_sound_log_has_nothing_broken() -> None:
    """Every check would cry wolf."""
    assert first_broken([]) is None
    assert first_broken(chain()) is None


def test_whatever_is_changed_is_found_and_named() -> None:
    """Somebody could rewrite who overrode a gate."""
    for change in (
        {"actor": "bob"},
        {"action": "halt"},
        {"subject": "ipc 4"},
        {"detail": "{} "},
        {"time_unix_ns": 31},
    ):
        entries = chain()
        entries[2] = replace(entries[2], **change)
        broken = first_broken(entries)
        assert broken is not None
        assert broken.number == 3


def test_what_is_taken_out_or_rewritten_with_its_own_digest_is_found() -> None:
    """An entry could vanish, or be replaced by one that is sound in itself."""
    without = chain()
    del without[1]
    broken = first_broken(without)
    assert broken is not None
    assert broken.number == 2
    rewritten = chain()
    forged = replace(rewritten[1], actor="mallory")
    rewritten[1] = replace(forged, digest=digest_of(forged, rewritten[0].digest))
    broken = first_broken(rewritten)
    assert broken is not None
    assert broken.number == 3


def test_a_log_that_was_cut_off_is_found_by_who_kept_its_end() -> None:
    """The latest entries could be dropped unseen."""
    entries = chain()
    assert first_broken(entries, entries[-1].digest) is None
    broken = first_broken(entries[:3], entries[-1].digest)
    assert broken is not None
    assert broken.number == 4
