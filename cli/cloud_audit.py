"""`bulkhead cloud audit …`: who has done what, and whether that was written down and left alone."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.cloud_common import AsJson, Folder, reported
from cli.output import print_json, screen, shown, table
from cloud import orders
from cloud.errors import AuditError, CloudReason
from cloud.folder import CloudFolder
from cloud.store import audit

application = typer.Typer(no_args_is_help=True, help="The audit log: list, verify.")
DIGEST_BYTES = 32
NANOSECONDS = 1e9


@application.command("list")
def list_(
    *,
    folder: Folder,
    after: Annotated[int, typer.Option(help="Only entries above this number.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """All entries, oldest first."""
    with (
        reported(as_json=as_json),
        closing(CloudFolder(folder).open()) as database,
        database.reading() as connection,
    ):
        found = list(audit.entries(connection, after))
    rows = [
        {
            "number": one.number,
            "time": datetime.fromtimestamp(one.time_unix_ns / NANOSECONDS, UTC).isoformat(),
            "actor": one.actor,
            "action": one.action,
            "subject": one.subject,
            "detail": one.detail,
            "digest": one.digest.hex(),
        }
        for one in found
    ]
    if as_json:
        print_json({"entries": rows})
        return
    columns = ["number", "time", "actor", "action", "subject", "detail"]
    table("Audit log", columns, [[shown(str(one[name])) for name in columns] for one in rows])


@application.command()
def verify(
    *,
    folder: Folder,
    head: Annotated[
        str, typer.Option(help="Digest of an entry that was noted earlier and has to be there.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check the hash chain; the first entry that is broken is named, with exit status 1."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        noted = _digest(head) if head else None
        with database.reading() as connection:
            count = orders.verify(connection, noted)
            last = [one.digest.hex() for one in audit.entries(connection, max(0, count - 1))]
    digest = last[0] if last else ""
    if as_json:
        print_json({"entries": count, "head": digest})
    else:
        screen.print(f"{count} entries, none broken; the last one's digest is", soft_wrap=True)
        screen.print(digest, soft_wrap=True)


def _digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise AuditError(
            CloudReason.AUDIT_BROKEN, f"--head {text!a:.80}: expected 64 hexadecimal digits"
        )
    return digest
