"""The role table: who may replace a role's executable, and how that is refused."""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.supervisor.roles import (
    MAX_FILE_BYTES,
    SHIPPED,
    Role,
    RoleEntry,
    RoleTableError,
    command,
    ids,
    load_roles,
)
from tests.needs import require_root

GOOD = json.dumps({"evaluator": "lab.unchecked.evaluator"}).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A role table as it should be."""
    made = tmp_path / "roles.json"
    made.write_bytes(GOOD)
    made.chmod(0o600)
    return made


def refused(path: Path) -> str:
    """The error, which must name the file."""
    with pytest.raises(RoleTableError) as error:
        load_roles(path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_without_a_file_the_shipped_roles_are_used() -> None:
    """A sensor without a laboratory would not start, or start something else."""
    assert load_roles(None) is SHIPPED
    assert set(SHIPPED) == set(Role)


def test_file_replaces_the_module_and_not_the_user(path: Path) -> None:
    """A laboratory's evaluator would run as root."""
    table = load_roles(path)
    assert table[Role.EVALUATOR] == RoleEntry("lab.unchecked.evaluator", "bulkhead-evaluator")
    assert table[Role.LINK] == SHIPPED[Role.LINK]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o777])
def test_file_that_others_can_write_is_refused(path: Path, mode: int) -> None:
    """Another user could put their own program in the evaluator's place."""
    path.chmod(mode)
    assert f"{mode:o}" in refused(path)


def test_file_of_somebody_else_is_refused(path: Path) -> None:
    """Another user could put their own program in the evaluator's place."""
    require_root()
    os.chown(path, 65534, 65534)
    assert "65534" in refused(path)


def _link(path: Path) -> None:
    target = path.with_name("target")
    path.rename(target)
    path.symlink_to(target)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


@pytest.mark.parametrize("spoil", [_link, _pipe, _folder, Path.unlink])
def test_what_is_no_file_is_refused(path: Path, spoil: Callable[[Path], None]) -> None:
    """A link of somebody else's would be followed, or the start wait for ever."""
    spoil(path)
    refused(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[" * 50_000,
        b"[]",
        b"null",
        b'{"supervisor": "os"}',
        b'{"evaluator": 1}',
        b'{"evaluator": ""}',
        b'{"evaluator": "../../tmp/x"}',
        b'{"evaluator": "-c"}',
        b'{"evaluator": "a..b"}',
        b'{"evaluator": "os\\n"}',
        b" " * (MAX_FILE_BYTES + 1) + GOOD,
    ],
)
def test_rubbish_is_refused(path: Path, content: bytes) -> None:
    """A damaged table would start something else, or show a traceback."""
    path.write_bytes(content)
    refused(path)


@given(content=st.binary(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rubbish_is_refused_or_changes_nothing(path: Path, content: bytes) -> None:
    """Some damaged table would end in a traceback."""
    path.write_bytes(content)
    with contextlib.suppress(RoleTableError):
        assert load_roles(path) == SHIPPED


def test_role_starts_isolated() -> None:
    """A role would import what lies in the current folder, or what the environment names."""
    assert command(RoleEntry("agent.link", ""), "--channel-fd", "5") == [
        *(sys.executable, "-I", "-m", "agent.link", "--channel-fd", "5")
    ]


def test_user_of_a_role() -> None:
    """A role would run as root because its user is missing."""
    assert ids(RoleEntry("m", "")) is None
    require_root()
    assert ids(RoleEntry("m", "nobody")) == (65534, 65534)
    with pytest.raises(RoleTableError, match="no-such-user"):
        ids(RoleEntry("m", "no-such-user"))
