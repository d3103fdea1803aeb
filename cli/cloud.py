"""`bulkhead cloud …`: run the mock cloud, enrol agents, push and revoke content, see the fleet.

This module makes folders and serves; `cli.cloud_enrolment` is about who belongs to the fleet,
`cli.cloud_content` is the operator who signs,
`cli.cloud_rollout`, `cli.cloud_policy` and `cli.cloud_audit` are those who decide how far content
goes, `cli.cloud_views` shows what the store holds. Only `run` and `enrolment` load gRPC.
"""

import importlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli import cloud_keys
from cli.cloud_audit import application as audit_commands
from cli.cloud_common import AsJson, Folder, reported, require_descriptor, tell_ready
from cli.cloud_console import console, sign
from cli.cloud_console import operator_application as operator_commands
from cli.cloud_content import countersign, push, revoke
from cli.cloud_enrolment import certificates_, enroll, enrolment, expel
from cli.cloud_enrolment import token_application as token_commands
from cli.cloud_incident import incident
from cli.cloud_policy import application as policy_commands
from cli.cloud_policy import group_application as group_commands
from cli.cloud_rollout import application as rollout_commands
from cli.cloud_views import crashes, detections, fleet, losses
from cli.output import print_json, screen, shown
from cloud.folder import CloudFolder, create, operator_folder
from cloud.rollout.plan import PLANS, PlanName
from cloud.store.postgresql import PostgresAddress

application = typer.Typer(no_args_is_help=True)


@application.command()
def init(
    *,
    folder: Annotated[Path, typer.Option(help="Folder to make for the cloud.")],
    operator: Annotated[
        Path | None,
        typer.Option(help="Folder for root and signing key (default: FOLDER-operator, beside it)."),
    ] = None,
    plan: Annotated[
        PlanName,
        typer.Option(help="How content is rolled out: in stages, or to everybody at once."),
    ] = PlanName.STAGED,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Host name or address that agents reach the cloud by; may be repeated."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="PostgreSQL database for the store: postgresql://USER@HOST/NAME?passfile=FILE, "
            "without a password (default: SQLite in the folder)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a cloud: development authority, server certificate, store, repository and its keys.

    Root and signing key go to the operator's folder, which the serving process never opens. They
    are for development: `bulkhead cloud keys` replaces them.
    """
    operator = operator or operator_folder(folder)
    with reported(as_json=as_json):
        store = None if database is None else PostgresAddress.parse(database)
        key = create(folder, operator, datetime.now(UTC), PLANS[plan], name or (), store)
    key_file = operator / "signing.key"
    if as_json:
        print_json({"folder": str(folder), "key": str(key_file), "key_id": key.key_id})
    else:
        screen.print(f"cloud in {shown(str(folder))}", soft_wrap=True)
        screen.print(f"signing key {key.key_id} in {shown(str(key_file))}", soft_wrap=True)
        screen.print("[yellow]development keys[/yellow]: replace them with `bulkhead cloud keys`")


@application.command()
def run(
    *,
    folder: Folder,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT to serve on; port 0 picks a free one.")
    ] = "127.0.0.1:7443",
    ready_fd: Annotated[
        int, typer.Option(help="Descriptor that gets one JSON line once agents can connect.")
    ] = -1,
    unsafe_skip_validator: Annotated[
        bool,
        typer.Option(
            "--unsafe-skip-validator",
            help="Also offer what was pushed unsafely, whatever it is. For tests only.",
        ),
    ] = False,
    nats: Annotated[
        str | None,
        typer.Option(help="NATS server by which replicas hear of each other: nats://HOST:PORT."),
    ] = None,
    nats_credentials: Annotated[
        Path | None,
        typer.Option(help="File (mode 0600) with USER:PASSWORD for it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C. Logs one JSON object per line to standard error."""
    require_descriptor("--ready-fd", ready_fd, as_json=as_json)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # errors are reported here, once
    journal = importlib.import_module("cloud.journal")
    server = importlib.import_module("cloud.server")

    def ready(address: str) -> None:
        tell_ready(f"serving on {address}", address, ready_fd, as_json=as_json)

    journal.start()
    with reported(as_json=as_json):
        messaging = importlib.import_module("cloud.messaging.address")
        queue = None if nats is None else messaging.NatsAddress.parse(nats, nats_credentials)
        order = server.Order(CloudFolder(folder), listen, unsafe_skip_validator, queue)
        server.serve(order, ready)


application.add_typer(cloud_keys.application, name="keys", help="Replace the repository's keys.")
for signing in (push, sign, revoke, countersign):
    application.command()(signing)
for command in (fleet, detections, crashes, losses, incident, console):
    application.command()(command)
for enrolling in (enrolment, enroll, expel):
    application.command()(enrolling)
application.command("certificates")(certificates_)
application.add_typer(token_commands, name="token")
application.add_typer(rollout_commands, name="rollout")
application.add_typer(group_commands, name="group")
application.add_typer(policy_commands, name="policy")
application.add_typer(audit_commands, name="audit")
application.add_typer(operator_commands, name="operator")
