"""Where a cloud's store is: a file in its folder, or the database that a note in it names.

    FOLDER/database.json         {"database": "postgresql://…"}: no password, so no secret

The note is written last when a cloud is made: a folder without store and note is no cloud.
"""

import json
from pathlib import Path

from cloud.errors import CloudReason, FolderError, StoreError
from cloud.files import read_capped, write_whole
from cloud.limits import LIMITS
from cloud.store.dialects import Address
from cloud.store.postgresql import PostgresAddress

STORE = "cloud.sqlite"
NOTE = "database.json"


def address_in(folder: Path) -> Address:
    """Where the store of this folder is, or would be; StoreError for a note that is none."""
    note = folder / NOTE
    if not note.exists():
        return folder / STORE
    try:
        told = json.loads(read_capped(note, LIMITS.key_file_bytes))
        return PostgresAddress.parse(told["database"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            CloudReason.DATABASE_ADDRESS_INVALID,
            f'{note}: expected {{"database": "postgresql://…"}} as `cloud init` writes it',
        ) from error


def note_address(folder: Path, address: PostgresAddress) -> None:
    """Write down where the store is; everything opens the folder as before."""
    write_whole(folder / NOTE, json.dumps({"database": address.uri}).encode("ascii") + b"\n")


def require_made(folder: Path) -> None:
    """FolderError unless a cloud was made here."""
    if not any((folder / name).exists() for name in (STORE, NOTE)):
        reason = CloudReason.DATABASE_MISSING if folder.is_dir() else CloudReason.FOLDER_MISSING
        raise FolderError(
            reason, f"{folder / STORE}: not found; make it with `bulkhead cloud init`"
        )
