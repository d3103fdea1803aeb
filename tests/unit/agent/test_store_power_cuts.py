"""A power cut at any moment leaves the old manifest or the new one, and whole payloads."""

import hashlib
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.lifecycle import Event, State
from agent.supervisor.manifest import Manifest, Signature, StoredFile
from agent.supervisor.manifest_document import to_document
from agent.supervisor.store import PAYLOADS, Store
from tests.unit.agent.content_documents import quarantined
from tests.unit.agent.power_cut import Call, Disk, recording

SEQUENCES = 15
STEPS = 9
CUTS_PER_CALL = 2
LEAST_CUTS = 1000
"""What is claimed of this test: so many random cuts, all of them amid an update."""

SIGNATURES = (Signature("d" * 64, "e" * 128),)


@dataclass(slots=True)
class Recorded:
    """System calls, and which manifests may be found after how many of them.

    commits: (calls made before, calls made after, manifest) of every commit.
    """

    calls: list[Call] = field(default_factory=list)
    commits: list[tuple[int, int, Manifest]] = field(default_factory=list)

    def allowed(self, made: int) -> list[Manifest]:
        """The manifest that is certain after so many calls, or the two it may be."""
        done = [manifest for _, end, manifest in self.commits if end <= made]
        begun = [manifest for start, end, manifest in self.commits if start < made < end]
        return [done[-1] if done else Manifest(), *begun]


def use_store(folder: Path, seed: int) -> Recorded:
    """A random history of updates, deaths, quarantines and acceptances, with its system calls."""
    chance, recorded = random.Random(seed), Recorded()  # noqa: S311 — repeatable
    store = Store(folder)
    with recording(folder, recorded.calls):
        store.open(lambda _file, _payload: True)
        for step in range(1, STEPS):
            manifest = _next(store, chance, step)
            start = len(recorded.calls)
            store.commit(manifest)
            recorded.commits.append((start, len(recorded.calls), manifest))
    store.close()
    return recorded


def _next(store: Store, chance: random.Random, step: int) -> Manifest:
    manifest = store.manifest
    active = sorted(file.hash for file in manifest.active.values())
    choice = chance.random()
    if active and choice < 0.2:
        return manifest.give_up(chance.choice(active), Event.BLAMED, "SIGNAL 11", "")
    if active and choice < 0.3:
        return manifest.leave_out(quarantined(chance.choice("0123456789abcdef")))
    if active and choice < 0.5:
        return manifest.accept(manifest.probation())
    payload = chance.randbytes(chance.choice([1, 100, 5000]))
    content_hash = hashlib.sha256(payload).hexdigest()
    store.add_payload(content_hash, payload)
    number = chance.randint(1, 2)
    return manifest.activate(StoredFile(content_hash, number, step, SIGNATURES, State.ACTIVE))


@dataclass(frozen=True, slots=True)
class Cut:
    """A power cut: whether it came amid an update, and what is wrong after the next start."""

    amid: bool
    wrong: list[str]


def cuts(recorded: Recorded, folder: Path, seed: int) -> Iterator[Cut]:
    """Cut the power after every call, and start again."""
    chance, disk = random.Random(seed), Disk()  # noqa: S311 — repeatable
    for made in range(len(recorded.calls) + 1):
        for _ in range(CUTS_PER_CALL):
            place = folder.with_name("after")
            _lay_out(disk.cut(chance), folder, place)
            allowed = recorded.allowed(made)
            yield Cut(len(allowed) > 1, _wrong(place, allowed))
            shutil.rmtree(place)
        if made < len(recorded.calls):
            disk.apply(recorded.calls[made])


def _lay_out(files: dict[Path, bytes], old: Path, new: Path) -> None:
    (new / PAYLOADS).mkdir(parents=True)
    for path, data in files.items():
        (new / path.relative_to(old)).write_bytes(data)


def _wrong(folder: Path, allowed: Sequence[Manifest]) -> list[str]:
    store = Store(folder)
    try:
        wrong = store.open(lambda _file, _payload: True)
        if to_document(store.manifest) not in [to_document(one) for one in allowed]:
            wrong.append("neither the old manifest nor the new one")
        for content_hash in store.manifest.hashes():
            store.payload(content_hash)
        return wrong + [f"left over: {path}" for path in folder.rglob("*.new")]
    finally:
        store.close()


def test_every_cut_leaves_old_or_new(tmp_path: Path) -> None:
    """A power cut amid an update would leave a host with damaged content, or with none."""
    counted = amid = 0
    for seed in range(SEQUENCES):
        folder = tmp_path / str(seed)
        for cut in cuts(use_store(folder, seed), folder, seed):
            assert not cut.wrong, f"sequence {seed}, cut {counted}"
            counted += 1
            amid += cut.amid
    assert counted > amid >= LEAST_CUTS


@pytest.mark.parametrize("forgotten", ["fsync of data", "fsync of names", "replace"])
def test_forgotten_step_is_noticed(tmp_path: Path, forgotten: str) -> None:
    """The test above could not fail: a store that forgets a step would pass it."""
    recorded = use_store(tmp_path / "store", 1)
    names = {tmp_path / "store", tmp_path / "store" / PAYLOADS}
    # The calls stay as many, so that commits begin and end where they did.
    for index, call in enumerate(recorded.calls):
        data = call.name == "fsync" and call.path not in names
        folder = call.name == "fsync" and call.path in names
        hit = {"fsync of data": data, "fsync of names": folder, "replace": call.name == "replace"}
        if hit[forgotten]:
            recorded.calls[index] = Call("fsync", tmp_path / "nowhere")
    assert any(cut.wrong for cut in cuts(recorded, tmp_path / "store", 1))
