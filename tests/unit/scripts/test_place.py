"""Where the environment lies follows from who can reach the checkout."""

import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.machine.place import PACKAGES, choose, shared_folder
from tests.needs import CHECKOUT


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A checkout of empty packages that every user can reach; pytest's own folders are private."""
    with tempfile.TemporaryDirectory(prefix="bulkhead-place-") as name:
        Path(name).chmod(0o755)
        root = Path(name).resolve() / "checkout"
        for package in PACKAGES:
            (root / package).mkdir(parents=True)
            (root / package / "module.py").touch(mode=0o644)
        yield root


def test_a_checkout_that_all_can_read_is_used_where_it_is(checkout: Path) -> None:
    """Every change of a source file would need a copy before it is seen."""
    place = choose(checkout, roles_have_users=True)
    assert (place.in_checkout, place.folder) == (True, checkout / ".venv")


@pytest.mark.parametrize(
    ("path", "mode"),
    [("..", 0o700), (".", 0o750), ("proto", 0o700), ("agent", 0o744), ("agent/module.py", 0o600)],
)
def test_what_others_cannot_reach_or_read_is_copied(checkout: Path, path: str, mode: int) -> None:
    """A role under a user of its own could not be started, or not import."""
    (checkout / path).chmod(mode)
    place = choose(checkout, roles_have_users=True)
    assert (place.in_checkout, place.folder) == (False, shared_folder(checkout))
    assert choose(checkout, roles_have_users=False).in_checkout


def test_two_checkouts_never_share_an_environment() -> None:
    """Setting up one would change what the other runs."""
    assert shared_folder(Path("/home/one")) != shared_folder(Path("/home/two"))


def test_the_packages_are_those_of_the_wheel() -> None:
    """A package would be installed that set-up does not watch for changes, or the other way."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert tuple(wheel["only-include"]) == PACKAGES
