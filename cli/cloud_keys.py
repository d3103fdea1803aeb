"""`bulkhead cloud keys …`: the ceremony by which the keys of the repository are replaced.

`propose` and `publish` are for the machine with the cloud's folder, `new` and `sign` for wherever a
key is: they need no folder, no network and nothing of the cloud. docs/trust.md goes through it.
"""

import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.cloud_common import AsJson, By, Folder, reported
from cli.output import print_json, screen, shown, table
from cloud import ceremony
from cloud.ceremony import Change
from cloud.errors import CloudReason, FolderError
from cloud.files import read_capped, write_whole
from cloud.folder import CloudFolder, new_key
from cloud.limits import LIMITS
from cloud.repository import LIFETIME, RootMetadata, described, root_from, sign_root
from cloud.signing import SigningKey, TrustedKey

application = typer.Typer(no_args_is_help=True)

Draft = Annotated[Path, typer.Argument(help="Root metadata that lack signatures.")]


@application.command()
def new(
    file: Annotated[Path, typer.Argument(help="New file, for example root-2.key.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Make a key; its public half goes into a file beside it, named .pub."""
    with reported(as_json=as_json):
        key = new_key(file)
    if as_json:
        print_json({"key": str(file), "key_id": key.key_id})
    else:
        screen.print(f"key {key.key_id} in {shown(str(file))}", soft_wrap=True)


@application.command()
def show(*, folder: Folder, as_json: AsJson = False) -> None:
    """Show which keys count for what, how many have to sign, and until when."""
    with reported(as_json=as_json):
        document = described(CloudFolder(folder).root())
    if as_json:
        print_json(document)
    else:
        _show(document)


@application.command()
def propose(
    *,
    folder: Folder,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(LIFETIME)}.")],
    add: Annotated[list[Path] | None, typer.Option(help="Public key (.pub) to add.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option(help="Key to revoke, by the first digits of its id.")
    ] = None,
    threshold: Annotated[int, typer.Option(help="How many keys have to sign.", min=0)] = 0,
    output: Annotated[Path, typer.Option(help="Where the draft goes.")],
    as_json: AsJson = False,
) -> None:
    """Write the next root metadata as a draft, for holders of root keys to sign."""
    with reported(as_json=as_json):
        if role not in LIFETIME:
            raise FolderError(
                CloudReason.ROLE_UNKNOWN, f"{role!a:.80}; expected one of {', '.join(LIFETIME)}"
            )
        added = tuple(TrustedKey.from_file(path) for path in add or ())
        change = Change(role, added, tuple(remove or ()), threshold)
        draft = ceremony.proposed(CloudFolder(folder).root(), change, datetime.now(UTC))
        write_whole(output, draft.to_bytes())
        _tell(draft, f"draft in {output}", as_json=as_json)


@application.command()
def sign(
    draft: Draft,
    *,
    key: Annotated[list[Path], typer.Option(help="A root key, of this or the next version.")],
    as_json: AsJson = False,
) -> None:
    """Sign a draft; shows what is signed. Needs nothing but the draft and the key."""
    with reported(as_json=as_json):
        root = _read(draft)
        for path in key:
            sign_root(root, SigningKey.from_file(path))
        write_whole(draft, root.to_bytes())
        _tell(root, f"signed by {len(root.signatures)} keys so far", as_json=as_json)


@application.command()
def publish(
    draft: Draft,
    *,
    folder: Folder,
    key: Annotated[
        list[Path] | None,
        typer.Option(help="Targets keys that count from now on, where these have changed."),
    ] = None,
    by: By,
    as_json: AsJson = False,
) -> None:
    """Put a signed draft in force; sensors follow it over their sessions."""
    cloud = CloudFolder(folder)
    with reported(as_json=as_json), closing(cloud.open()) as database:
        keys = [SigningKey.from_file(path) for path in key or ()]
        root = _read(draft)
        with database.writing() as connection:
            done = ceremony.publish(connection, root, keys, time.time_ns(), by)
        _tell(root, f"in force; {done.signed_anew} files and orders signed anew", as_json=as_json)


def _read(path: Path) -> RootMetadata:
    data = read_capped(path, LIMITS.root_bytes)
    return root_from(data[: LIMITS.root_bytes], str(path))


def _tell(metadata: RootMetadata, what: str, *, as_json: bool) -> None:
    document = described(metadata)
    if as_json:
        print_json({**document, "said": what})
        return
    screen.print(shown(what), soft_wrap=True)
    _show(document)


def _show(document: dict[str, Any]) -> None:
    rows = [
        [role, str(one["threshold"]), key, "development" if key in document["development"] else ""]
        for role, one in document["roles"].items()
        for key in one["keys"]
    ]
    title = f"Root {document['version']}, until {document['expires']}"
    table(title, ["role", "have to sign", "key", "made for"], rows)
