"""Set-up installs servers and starts none: what apt finds meanwhile, and what is left then."""

from pathlib import Path

import pytest

from scripts.machine import silence
from tests.needs import require_root

ABSENT = "bulkhead-no-such.service"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where policy and cluster settings lie, on a machine that has neither."""
    require_root()
    policy, clusters = tmp_path / "sbin" / "policy-rc.d", tmp_path / "etc" / "createcluster.conf"
    monkeypatch.setattr(silence, "POLICY", policy)
    monkeypatch.setattr(silence, "CLUSTERS", clusters)
    return policy, clusters


def test_nothing_is_started_while_apt_works(places: tuple[Path, Path]) -> None:
    """A database and a message server would run on the machine of whoever runs the tests."""
    policy, clusters = places
    with silence.silent([ABSENT]):
        assert policy.read_text(encoding="ascii").endswith("exit 101\n")
        assert policy.stat().st_mode & 0o111
        assert "create_main_cluster = false" in clusters.read_text(encoding="ascii")
    assert not policy.exists()


def test_what_was_there_stays(places: tuple[Path, Path]) -> None:
    """An administrator's own rules would be gone."""
    for place in places:
        place.parent.mkdir()
        place.write_text("theirs", encoding="ascii")
    with silence.silent([ABSENT]):
        pass
    assert [place.read_text(encoding="ascii") for place in places] == ["theirs", "theirs"]


def test_without_servers_nothing_is_touched(places: tuple[Path, Path]) -> None:
    """Every set-up would change the machine's rules for a moment."""
    with silence.silent([]):
        assert not any(place.exists() for place in places)
