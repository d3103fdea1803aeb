"""`bulkhead cloud console|operator|sign`: the web page of operators, who may log in, and signing.

Only `console` loads the web framework, and nothing here but `sign` opens a signing key. `sign` only
reads the cloud's folder.
"""

import getpass
import importlib
import os
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from cli.cloud_common import AsJson, By, Folder, reported, require_descriptor, tell_ready
from cli.cloud_content import Keys
from cli.output import ExitCode, fail, print_json, screen, shown, table
from cloud import presigned, push
from cloud.console import operators
from cloud.console.limits import LIMITS
from cloud.files import write_whole
from cloud.folder import CloudFolder
from cloud.signing import SigningKey
from content.definitions import load_definitions

operator_application = typer.Typer(
    no_args_is_help=True, help="Who may log in to the console: add, password, remove, list."
)
Name = Annotated[str, typer.Argument(help="Name of the operator: a-z 0-9 . _ -")]
PasswordFd = Annotated[
    int, typer.Option(help="Descriptor to read the password from, in place of a prompt.")
]


def console(
    *,
    folder: Folder,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT to serve on; port 0 picks a free one.")
    ] = "127.0.0.1:8443",
    ready_fd: Annotated[
        int, typer.Option(help="Descriptor that gets one JSON line once pages are served.")
    ] = -1,
    as_json: AsJson = False,
) -> None:
    """Serve the operators' console over HTTPS until SIGTERM or Ctrl-C."""
    require_descriptor("--ready-fd", ready_fd, as_json=as_json)
    journal = importlib.import_module("cloud.journal")
    server = importlib.import_module("cloud.console.server")

    def ready(address: str) -> None:
        tell_ready(f"console on https://{address}", address, ready_fd, as_json=as_json)

    journal.start()
    with reported(as_json=as_json):
        server.serve(server.Order(CloudFolder(folder), listen), ready)


@operator_application.command("add")
def add_operator(
    name: Name, *, folder: Folder, password_fd: PasswordFd = -1, by: By, as_json: AsJson = False
) -> None:
    """Let somebody log in to the console."""
    cloud = CloudFolder(folder)
    with reported(as_json=as_json), closing(cloud.open()) as database:
        password = _password(password_fd, as_json=as_json)
        operators.add(cloud, database, name, password, by, time.time_ns())
    _told(name, "may log in", as_json=as_json)


@operator_application.command("password")
def change_password(
    name: Name, *, folder: Folder, password_fd: PasswordFd = -1, by: By, as_json: AsJson = False
) -> None:
    """Give an operator another password; sessions under the old one end."""
    cloud = CloudFolder(folder)
    with reported(as_json=as_json), closing(cloud.open()) as database:
        password = _password(password_fd, as_json=as_json)
        operators.change(cloud, database, name, password, by, time.time_ns())
    _told(name, "has another password", as_json=as_json)


@operator_application.command("remove")
def remove_operator(name: Name, *, folder: Folder, by: By, as_json: AsJson = False) -> None:
    """Let somebody log in no more; sessions end."""
    cloud = CloudFolder(folder)
    with reported(as_json=as_json), closing(cloud.open()) as database:
        operators.remove(cloud, database, name, by, time.time_ns())
    _told(name, "may log in no more", as_json=as_json)


@operator_application.command("list")
def list_operators(*, folder: Folder, as_json: AsJson = False) -> None:
    """The names of all operators."""
    with reported(as_json=as_json):
        cloud = CloudFolder(folder)
        cloud.require_made()
        names = sorted(operators.read(cloud))
    if as_json:
        print_json({"operators": names})
    else:
        table("Operators", ["name"], [[shown(one)] for one in names])


def sign(
    file: Annotated[Path, typer.Argument(help="A Channel File (*.channel).")],
    *,
    folder: Folder,
    key: Keys,
    output: Annotated[Path, typer.Option(help="The signed release, for the console.")],
    as_json: AsJson = False,
) -> None:
    """Validate a Channel File and sign all that its push needs, to be pushed where no key is.

    It counts for a day, and only while the repository is what it is now.
    """
    with reported(as_json=as_json), closing(CloudFolder(folder).look()) as database:
        keys = [SigningKey.from_file(path) for path in key]
        (candidate,) = push.read_candidates([file], load_definitions(), unsafe=False)
        with database.reading() as store:
            parts = presigned.sign(store, candidate, keys, time.time_ns())
        write_whole(output, parts.written())
    version = parts.targets.signed.version
    if as_json:
        signed_by = [one.key_id for one in keys]
        document = {"output": str(output), "key_ids": signed_by, "targets_version": version}
        print_json({**document, "content_hash": parts.halt.content_hash.hex()})
    else:
        where = f"signed release in {shown(str(output))}"
        screen.print(f"{where}, for version {version} of the targets", soft_wrap=True)


def _password(descriptor: int, *, as_json: bool) -> str:
    """From a prompt, twice, or the first line of a descriptor; never from the command line."""
    if descriptor >= 0:
        require_descriptor("--password-fd", descriptor, as_json=as_json)
        with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape") as file:
            return file.readline(LIMITS.longest_password + 2).rstrip("\n")
    if not sys.stdin.isatty():
        message = "no terminal to ask for a password; expected --password-fd"
        fail("PASSWORD_INVALID", message, ExitCode.USAGE, as_json=as_json)
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        message = "the passwords differ; expected the same one twice"
        fail("PASSWORD_INVALID", message, ExitCode.USAGE, as_json=as_json)
    return password


def _told(name: str, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"operator": name})
    else:
        screen.print(f"{shown(name)} {what}")
