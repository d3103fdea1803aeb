"""Who may log in, for how long, and how often it may be tried."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloud.console import operators
from cloud.console.attempts import Attempts
from cloud.console.limits import LIMITS
from cloud.console.operators import Operator
from cloud.console.sessions import Sessions, Visitors, equal
from cloud.errors import CloudReason, OperatorError
from cloud.folder import CloudFolder, create
from cloud.store import audit
from cloud.store.database import Database

ADA = Operator("ada", "aa" * 16, "bb" * 32)
KNOWN = {"ada": ADA}
PASSWORD = "correct horse battery"  # noqa: S105


@pytest.fixture
def cloud(tmp_path: Path) -> CloudFolder:
    """A new cloud."""
    create(tmp_path / "cloud", tmp_path / "desk", datetime.now(UTC))
    return CloudFolder(tmp_path / "cloud")


@pytest.fixture
def database(cloud: CloudFolder) -> Iterator[Database]:
    """Its store."""
    with closing(cloud.open()) as opened:
        yield opened


def test_an_operator_is_who_knows_the_password(cloud: CloudFolder, database: Database) -> None:
    """Anybody could log in, or nobody."""
    operators.add(cloud, database, "ada", PASSWORD, "root", 1)
    known = operators.read(cloud)
    found = operators.proven(known, "ada", PASSWORD)
    assert found is not None
    assert found.name == "ada"
    for name, password in (("ada", "wrong"), ("bob", PASSWORD), ("", ""), ("ada", "x" * 2000)):
        assert operators.proven(known, name, password) is None


def test_the_file_holds_no_password_and_is_its_owner_s(
    cloud: CloudFolder, database: Database
) -> None:
    """Whoever reads a backup could log in."""
    operators.add(cloud, database, "ada", PASSWORD, "root", 1)
    operators.add(cloud, database, "bob", PASSWORD, "root", 2)
    file = cloud.path / operators.FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in file.read_text(encoding="ascii")
    ada, bob = json.loads(file.read_bytes())["operators"]
    assert ada["digest"] != bob["digest"]


def test_every_change_of_operators_is_in_the_audit_log(
    cloud: CloudFolder, database: Database
) -> None:
    """Nobody could find out who let whom in."""
    operators.add(cloud, database, "ada", PASSWORD, "root", 1)
    before = operators.read(cloud)["ada"]
    operators.change(cloud, database, "ada", "another password", "root", 2)
    assert operators.read(cloud)["ada"] != before
    operators.remove(cloud, database, "ada", "root", 3)
    with database.reading() as store:
        told = [(one.actor, one.subject, one.detail) for one in audit.entries(store)][1:]
    assert [json.loads(detail)["operator"] for _, _, detail in told] == [
        "added",
        "password changed",
        "removed",
    ]
    assert {one[:2] for one in told} == {("root", "ada")}


def test_what_can_not_be_meant_is_refused(cloud: CloudFolder, database: Database) -> None:
    """A mistyped name would be somebody, and a short password enough."""
    operators.add(cloud, database, "ada", PASSWORD, "root", 1)
    for reason, name, password in (
        (CloudReason.OPERATOR_EXISTS, "ada", PASSWORD),
        (CloudReason.OPERATOR_INVALID, "../x", PASSWORD),
        (CloudReason.PASSWORD_INVALID, "bob", "short"),
    ):
        with pytest.raises(OperatorError) as caught:
            operators.add(cloud, database, name, password, "root", 1)
        assert caught.value.reason == reason
    with pytest.raises(OperatorError) as caught:
        operators.remove(cloud, database, "bob", "root", 1)
    assert caught.value.reason == CloudReason.OPERATOR_UNKNOWN
    assert set(operators.read(cloud)) == {"ada"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "\xff",
        '{"operators": 1}',
        '{"operators": [{"name": "ada"}]}',
        '{"operators": [{"name": "ada", "salt": "00", "digest": "zz"}]}',
        '{"operators": [{"name": "ada", "salt": "00", "digest": "00"}]}',
    ],
)
def test_a_damaged_file_lets_nobody_in(cloud: CloudFolder, text: str) -> None:
    """An empty digest could be anybody's."""
    (cloud.path / operators.FILE).write_text(text, encoding="latin-1")
    with pytest.raises(OperatorError) as caught:
        operators.read(cloud)
    assert caught.value.reason == CloudReason.OPERATOR_INVALID


def test_a_session_ends_when_it_rests_and_when_its_day_is_over() -> None:
    """A stolen cookie would be good for ever."""
    sessions = Sessions(replace(LIMITS, session_idle_seconds=10.0, session_seconds=25.0))
    value = sessions.begin(ADA, 0.0)
    assert sessions.find("other", KNOWN, 1.0) is None
    for now in (9.0, 18.0):
        assert sessions.find(value, KNOWN, now) is not None
    assert sessions.find(value, KNOWN, 26.0) is None
    resting = sessions.begin(ADA, 0.0)
    assert sessions.find(resting, KNOWN, 9.0, used=False) is not None
    assert sessions.find(resting, KNOWN, 10.5) is None
    assert len(sessions) == 0


def test_a_session_is_of_an_operator_with_this_password() -> None:
    """Whoever was removed, or has another password now, would stay logged in."""
    for known in ({}, {"ada": replace(ADA, salt="cc" * 16)}):
        sessions = Sessions()
        value = sessions.begin(ADA, 0.0)
        assert sessions.find(value, known, 1.0) is None
        assert sessions.find(value, KNOWN, 1.0) is None


def test_sessions_are_bounded_and_unlike_each_other() -> None:
    """Logging in again and again would fill the memory."""
    sessions = Sessions(replace(LIMITS, sessions=3))
    values = [sessions.begin(ADA, float(now)) for now in range(5)]
    assert len(set(values)) == 5
    assert len(sessions) == 3
    assert [sessions.find(one, KNOWN, 6.0) is not None for one in values] == [
        False,
        False,
        True,
        True,
        True,
    ]
    forms = {session.form_token for one in values if (session := sessions.find(one, KNOWN, 6.0))}
    assert len(forms) == 3


def test_a_visitor_s_token_is_bound_to_the_cookie() -> None:
    """A login form made elsewhere would be taken for one of ours."""
    visitors = Visitors()
    assert visitors.token("a") == visitors.token("a")
    assert visitors.token("a") != visitors.token("b")
    assert visitors.token("a") != Visitors().token("a")
    assert equal("ü", "x") is False


def test_failures_throttle_by_name_and_by_address_for_a_while() -> None:
    """A password, or a name, could be guessed by trying."""
    limits = replace(LIMITS, failures_by_name=2, failures_by_address=4, failure_window_seconds=10.0)
    attempts = Attempts(limits)
    for now in (0.0, 1.0):
        attempts.failed("ada", "here", now)
    assert not attempts.allowed("ada", "there", 2.0)
    assert attempts.allowed("bob", "here", 2.0)
    for now in (2.0, 3.0):
        attempts.failed(f"x{now}", "here", now)
    assert not attempts.allowed("bob", "here", 4.0)
    assert attempts.allowed("bob", "there", 4.0)
    assert attempts.allowed("ada", "there", 11.5)


def test_a_login_that_succeeds_forgives_its_own_failures_only() -> None:
    """Who mistypes once would be locked out, or would unlock others."""
    attempts = Attempts(replace(LIMITS, failures_by_name=2))
    attempts.failed("ada", "here", 0.0)
    attempts.failed("ada", "there", 0.0)
    attempts.succeeded("ada", "here")
    assert attempts.allowed("ada", "here", 1.0)
    attempts.failed("ada", "here", 1.0)
    assert not attempts.allowed("ada", "here", 1.0)
