"""One collector for all tests on real kernel events, and a process that is older than it."""

from collections.abc import Iterator

import pytest

from content.definitions import Rung
from probes.program import BPF_RUNGS
from tests.kernel.collection import Collection, collecting
from tests.kernel.elder import Elder
from tests.needs import require_bpf, require_btf


@pytest.fixture(scope="session")
def elder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elder]:
    """A process that was there before the collector."""
    with Elder(tmp_path_factory.mktemp("elder")) as process:
        yield process


@pytest.fixture(scope="session", params=BPF_RUNGS)
def session_collection(request: pytest.FixtureRequest, elder: Elder) -> Iterator[Collection]:
    """The collector that all tests share; `elder` is only named so that it comes first."""
    del elder
    require_bpf()
    if request.param is Rung.BPF_BTF:
        require_btf()
    with collecting("--rung", request.param) as collection:
        yield collection


@pytest.fixture
def collection(session_collection: Collection) -> Collection:
    """The shared collector, with everything forgotten that came before this test."""
    session_collection.skip()
    return session_collection
