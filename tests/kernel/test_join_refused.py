"""A join with maps that are not those of a collection is refused, in words."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from content.definitions import Rung
from tests.kernel.collection import ENVIRONMENT, Collection, collecting, refused
from tests.needs import require_btf

JOIN = ("--types", "2", "--join")

SHARED = ["lineage", "prevention"]


@pytest.fixture(scope="module")
def running() -> Iterator[Collection]:
    """A collection that could be joined."""
    require_btf()
    with collecting("--rung", "bpf_btf", "--types", "") as collection:
        yield collection


@pytest.mark.parametrize(
    "names",
    [[], ["lineage", "lineage"], ["pending"], ["lineage"], ["lineage", "pending"], [7], [SHARED]],
)
def test_other_names(running: Collection, names: Sequence[str]) -> None:
    """If it failed, programs would be compiled with a map that is another one, or none."""
    given = [running.shared[0], *(running.shared[1] for _ in names)]
    message = refused("--rung", "bpf_btf", *JOIN, given=given, shared=names)
    assert message["reason"] == "SHARED_MAPS_UNEXPECTED"
    assert "expected loss_counters and ['lineage', 'prevention']" in message["detail"]


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_other_number_of_descriptors(running: Collection, count: int) -> None:
    """If it failed, a map that was not sent would be taken from whatever else is open."""
    given = [running.shared[0]] * count
    message = refused("--rung", "bpf_btf", *JOIN, given=given, shared=SHARED)
    assert message["reason"] == "SHARED_MAPS_UNEXPECTED"
    assert f"{count} descriptors" in message["detail"]


def test_maps_in_another_order(running: Collection) -> None:
    """If it failed, losses would be counted in the lineage map."""
    counters, lineage, prevention = running.shared
    swapped = [lineage, counters, prevention]
    message = refused("--rung", "bpf_btf", *JOIN, given=swapped, shared=SHARED)
    assert message["reason"] == "SHARED_MAP_MISMATCH"
    assert "map loss_counters is Shape(map_type=1" in message["detail"]


def test_what_is_no_map(running: Collection) -> None:
    """If it failed, the verifier's words would be all that anybody learns."""
    with Path(os.devnull).open("rb") as file:
        given = [running.shared[0], file.fileno(), running.shared[2]]
        message = refused("--rung", "bpf_btf", *JOIN, given=given, shared=SHARED)
    assert message["reason"] == "SHARED_MAP_MISMATCH"
    assert "map lineage is no BPF map" in message["detail"]


def test_the_map_of_another_rung(running: Collection) -> None:
    """If it failed, programs of one rung would read entries that are laid out for the other."""
    given = running.shared[:2]
    message = refused("--rung", "bpf_tracepoint", *JOIN, given=given, shared=["lineage"])
    assert message["reason"] == "SHARED_MAP_MISMATCH"
    assert "value_size" in message["detail"]


@pytest.mark.parametrize("rung", [Rung.PROCESS_CONNECTOR, Rung.PSUTIL])
def test_rungs_of_one_process(rung: Rung) -> None:
    """If it failed, the supervisor would wait for a join that never comes."""
    message = refused("--rung", rung, "--types", "1", "--join")
    assert message["reason"] == "RUNG_NOT_SUPPORTED"
    assert rung in message["detail"]


@pytest.mark.parametrize("types", [[], ["--types", ""]])
def test_joining_with_nothing(types: list[str]) -> None:
    """If it failed, a join of nothing would compile, attach nothing, and look like one of all."""
    command = [sys.executable, "-I", "-m", "agent.collector", "--channel-fd", "0"]
    ended = subprocess.run(
        [*command, "--rung", "bpf_btf", "--join", *types],
        capture_output=True,
        check=False,
        env=ENVIRONMENT,
        cwd=os.sep,
    )
    assert ended.returncode == 2
    assert b"--join needs --types" in ended.stderr
