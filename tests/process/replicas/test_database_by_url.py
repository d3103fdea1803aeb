"""`--database` and `--nats`: what can be meant, what is written down, and what is refused."""

import json
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.cloud import application
from cli.output import ExitCode
from cloud.errors import CloudError, CloudReason
from cloud.folder import CloudFolder
from cloud.messaging.address import NatsAddress
from cloud.store.database import Database
from cloud.store.postgresql import PostgresAddress
from tests.process.cloud_process import Cloud
from tests.process.replicas.postgres import Postgres, new_postgres
from tests.process.replicas.small_disk import small_disk

SECRET = "hunter2"  # noqa: S105  it must not be found anywhere


def init(folder: Path, *options: str) -> tuple[int, dict[str, str]]:
    """`bulkhead cloud init`: exit status and document."""
    done = CliRunner().invoke(application, ["init", "--folder", str(folder), "--json", *options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert SECRET not in done.output
    text = done.stdout or done.stderr
    return done.exit_code, json.loads(text)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "sqlite:///cloud",
        "postgresql+psycopg://localhost/cloud",
        f"postgresql://cloud:{SECRET}@localhost/cloud",
        f"postgresql://cloud@localhost/cloud?password={SECRET}",
        "postgresql://localhost",
        "postgresql://localhost/cloud?nonsense=1",
        "postgresql://\x00/\u2603",
    ],
    ids=["empty", "sqlite", "driver", "password", "parameter", "nameless", "nonsense", "bytes"],
)
def test_what_is_no_address_is_refused_before_anything_is_made(tmp_path: Path, given: str) -> None:
    """A password would lie in a file that anybody may copy, or a cloud be made by half."""
    status, told = init(tmp_path / "cloud", "--database", given)
    assert status == ExitCode.USAGE
    assert told["error"]["reason"] == CloudReason.DATABASE_ADDRESS_INVALID  # type: ignore[index]
    assert list(tmp_path.iterdir()) == []


def test_a_database_out_of_reach_makes_no_half_cloud(tmp_path: Path) -> None:
    """The next try would find a folder and refuse."""
    status, told = init(tmp_path / "cloud", "--database", "postgresql://127.0.0.1:1/cloud")
    assert status == ExitCode.UNREACHABLE
    assert told["error"]["reason"] == CloudReason.DATABASE_UNREACHABLE  # type: ignore[index]
    assert list(tmp_path.iterdir()) == []


def test_a_second_cloud_does_not_take_the_first_ones_database(
    tmp_path: Path, postgres: Postgres
) -> None:
    """Two authorities would share one fleet."""
    address = postgres.new_database()
    assert init(tmp_path / "one", "--database", address)[0] == ExitCode.OK
    status, told = init(tmp_path / "two", "--database", address)
    assert status == ExitCode.REFUSED
    assert told["error"]["reason"] == CloudReason.DATABASE_EXISTS  # type: ignore[index]
    assert not (tmp_path / "two").exists()
    note = json.loads((tmp_path / "one" / "database.json").read_text(encoding="ascii"))
    assert note == {"database": address}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"database": 1}', '{"database": "x"}', "null", "\x00"]
)
def test_a_damaged_note_is_named(tmp_path: Path, text: str) -> None:
    """Every command would end in a traceback, or in an empty store of its own."""
    (tmp_path / "database.json").write_text(text, encoding="ascii")
    with pytest.raises(CloudError) as refused:
        CloudFolder(tmp_path).open()
    assert refused.value.reason is CloudReason.DATABASE_ADDRESS_INVALID


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_password_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever is on the host could write reports of any agent."""
    file = tmp_path / "password"
    file.write_text(f"cloud:{SECRET}\n", encoding="ascii")
    file.chmod(mode)
    address = PostgresAddress.parse(f"postgresql://127.0.0.1:1/cloud?passfile={file}")
    for attempt in (
        lambda: Database.open(address),
        lambda: NatsAddress.parse("nats://127.0.0.1", file),
    ):
        with pytest.raises(CloudError) as refused:
            attempt()
        assert refused.value.reason is CloudReason.KEY_EXPOSED
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["", "nats://", "http://h", f"nats://u:{SECRET}@h", "nats://[", "nats://h:x", "h"]
)
def test_what_is_no_address_of_nats_is_refused(url: str) -> None:
    """The cloud would serve and never reach it, or show a password in its log."""
    with pytest.raises(CloudError) as refused:
        NatsAddress.parse(url, None)
    assert refused.value.reason is CloudReason.NATS_ADDRESS_INVALID
    assert SECRET not in str(refused.value)


def test_a_database_of_another_version_is_refused(shared: Database, address: object) -> None:
    """Columns would be missing in the middle of a session."""
    with shared.writing() as store:
        store.exec_driver_sql("UPDATE schema SET version = 1")
    with pytest.raises(CloudError) as refused:
        Database.open(address)  # type: ignore[arg-type]
    assert refused.value.reason is CloudReason.DATABASE_VERSION


@pytest.mark.parametrize("order", ["UPDATE audit SET actor = ''", "DELETE FROM audit"])
def test_the_audit_log_refuses_to_be_changed(shared: Database, order: str) -> None:
    """Who did what could be rewritten by whoever reaches the database."""
    with pytest.raises(CloudError, match="append-only"), shared.writing() as store:
        store.exec_driver_sql(order)


def fill(database: Database) -> None:
    """Write until it refuses, 64 kB at a time."""
    for _ in range(2_000):
        with database.writing() as store:
            store.exec_driver_sql(
                "INSERT INTO filling SELECT string_agg(md5(random()::text), '') "
                "FROM generate_series(1, 2000)"
            )


def test_a_database_on_a_full_disk_says_so_and_goes_on_later() -> None:
    """A report would count as stored, or the cloud would have to be started again."""
    with small_disk() as disk, new_postgres(place=disk.place) as postgres:
        database = Database.create(PostgresAddress.parse(postgres.new_database()))
        with database.writing() as store:
            store.exec_driver_sql("CREATE TABLE filling (data text)")
        disk.fill()
        with pytest.raises(CloudError) as refused:
            fill(database)
        assert refused.value.reason in {CloudReason.DISK_FULL, CloudReason.DATABASE_UNREACHABLE}
        disk.empty()
        if not postgres.lives():
            postgres.stop(signal.SIGQUIT)
            postgres.start()
        with database.writing() as store:
            store.exec_driver_sql("INSERT INTO filling VALUES ('one more')")
        database.close()


def test_a_password_comes_from_a_file_and_goes_nowhere(tmp_path: Path, postgres: Postgres) -> None:
    """A database that asks for one could not be used, or the password would lie in note or log."""
    name = postgres.new_database().rpartition("/")[2]
    postgres.ask_for_password("locked", SECRET)
    file = tmp_path / "pgpass"
    file.touch(mode=0o600)
    address = f"postgresql://locked@127.0.0.1:{postgres.port}/{name}?passfile={file}"
    file.write_text(f"127.0.0.1:*:*:locked:not-{SECRET}\n", encoding="ascii")
    status, told = init(tmp_path / "cloud", "--database", address)
    assert status == ExitCode.UNREACHABLE
    assert "password authentication failed" in told["error"]["message"]  # type: ignore[index]
    file.write_text(f"127.0.0.1:*:*:locked:{SECRET}\n", encoding="ascii")
    assert init(tmp_path / "cloud", "--database", address)[0] == ExitCode.OK
    cloud = Cloud(tmp_path / "cloud")
    cloud.start()
    try:
        assert cloud.json("fleet")["serving"]
    finally:
        cloud.kill()
    made = [one for one in tmp_path.rglob("*") if one.is_file() and one != file]
    assert not [one for one in (*made,) if SECRET.encode() in one.read_bytes()]
