"""`bulkhead cloud enrolment|token|enroll|expel|certificates`: who belongs to the fleet.

Only `enrolment` serves, and it is the only command that loads gRPC.
"""

import importlib
import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.cloud_common import AsJson, By, Folder, reported, require_descriptor, tell_ready
from cli.output import ExitCode, fail, print_json, screen, shown, table
from cloud.enrolment import orders
from cloud.folder import CloudFolder, enrolling
from cloud.limits import LIMITS
from cloud.store import certificates

token_application = typer.Typer(no_args_is_help=True, help="Join tokens: new, list, withdraw.")
Hours = Annotated[float, typer.Option(help="How long a certificate is good.")]


def enrolment(
    *,
    folder: Folder,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT on which hosts join; port 0 picks a free one.")
    ] = "127.0.0.1:7444",
    certificate_hours: Hours = LIMITS.certificate_hours,
    ready_fd: Annotated[
        int, typer.Option(help="Descriptor that gets one JSON line once hosts can join.")
    ] = -1,
    as_json: AsJson = False,
) -> None:
    """Issue certificates until SIGTERM or Ctrl-C: to hosts that join, and to those that renew.

    The only process that opens the issuing key. Logs one JSON object per line to standard error.
    """
    require_descriptor("--ready-fd", ready_fd, as_json=as_json)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # errors are reported here, once
    journal = importlib.import_module("cloud.journal")
    server = importlib.import_module("cloud.enrolment.server")

    def ready(address: str) -> None:
        tell_ready(f"hosts join at {address}", address, ready_fd, as_json=as_json)

    journal.start()
    with reported(as_json=as_json):
        lifetime = orders.certificate_hours(certificate_hours)
        server.serve(server.Order(CloudFolder(folder), listen, lifetime), ready)


def enroll(
    *,
    folder: Folder,
    agent_id: Annotated[str, typer.Option(help="Name of the agent: a-z 0-9 . _ -")],
    output: Annotated[Path, typer.Option(help="New folder for the agent's files.")],
    certificate_hours: Hours = 24.0 * 365,
    as_json: AsJson = False,
) -> None:
    """Write what one agent needs: agent.pem, agent.key, ca.pem and root.json.

    The key is made here and has to be carried to the host: `bulkhead agent join` makes it there.
    """
    with reported(as_json=as_json):
        lifetime = orders.certificate_hours(certificate_hours)
        orders.enrol(CloudFolder(folder), agent_id, output, datetime.now(UTC), lifetime)
    if as_json:
        print_json({"agent_id": agent_id, "output": str(output)})
    else:
        screen.print(f"agent {agent_id}: certificate and keys in {shown(str(output))}")


@token_application.command("new")
def new_token(
    *,
    folder: Folder,
    output: Annotated[Path, typer.Option(help="New file for the token: a secret.")],
    by: By,
    agent_id: Annotated[str, typer.Option(help="The agent that it is for.")] = "",
    any_agent: Annotated[
        bool, typer.Option("--any", help="For agents of any name that no host has had.")
    ] = False,
    uses: Annotated[int, typer.Option(help="How many hosts may join with it.")] = 1,
    expires_hours: Annotated[float, typer.Option(help="How long it is good.")] = LIMITS.token_hours,
    group: Annotated[str, typer.Option(help="Group that hosts come into which join.")] = "",
    address: Annotated[
        str, typer.Option(help="HOST:PORT to join at (default: where enrolment is served now).")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write a join file: what a host needs to join the fleet, by `bulkhead agent join`."""
    if bool(agent_id) == any_agent:
        message = "expected either --agent-id or --any"
        fail("TOKEN_INVALID", message, ExitCode.USAGE, as_json=as_json)
    with reported(as_json=as_json):
        cloud = CloudFolder(folder)
        cloud.require_made()
        served = enrolling(cloud)
        address = address or (served.address if served else "")
        terms = orders.TokenTerms(agent_id, group, uses, expires_hours, address)
        token = orders.make_token(cloud, terms, output, by)
    if as_json:
        print_json({"token_id": token.token_id, "output": str(output), "address": address})
        return
    screen.print(f"token {token.token_id} in {shown(str(output))}: keep it secret", soft_wrap=True)
    if not address:
        screen.print("[yellow]no address in it[/yellow]: hosts have to be told with --address")


@token_application.command("list")
def list_tokens(*, folder: Folder, as_json: AsJson = False) -> None:
    """All tokens: for whom, until when, how many uses are left."""
    with (
        reported(as_json=as_json),
        closing(CloudFolder(folder).open()) as database,
        database.reading() as connection,
    ):
        found = certificates.tokens(connection)
    rows = [
        {
            "token_id": one.token_id,
            "agent_id": one.agent_id,
            "group": one.group,
            "expires": _moment(one.expires_unix),
            "uses_left": one.uses_left,
            "withdrawn": one.withdrawn,
        }
        for one in found
    ]
    if as_json:
        print_json({"tokens": rows})
    else:
        columns = ["token_id", "agent_id", "group", "expires", "uses_left", "withdrawn"]
        table("Join tokens", columns, [[shown(str(one[name])) for name in columns] for one in rows])


@token_application.command("withdraw")
def withdraw_token(
    token_id: Annotated[str, typer.Argument(help="Id of the token, as `token list` shows it.")],
    *,
    folder: Folder,
    by: By,
    as_json: AsJson = False,
) -> None:
    """Let nobody join with it any more; who has joined stays."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        orders.withdraw_token(database, token_id, by)
    if as_json:
        print_json({"withdrawn": token_id})
    else:
        screen.print(f"token {shown(token_id)} is withdrawn")


def expel(
    agent_id: Annotated[str, typer.Argument(help="Name of the agent.")],
    *,
    folder: Folder,
    by: By,
    serial: Annotated[
        str, typer.Option(help="Only this certificate, and what was renewed from it.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="Take it back: it may join again.")] = False,
    with_certificates: Annotated[
        bool,
        typer.Option("--with-certificates", help="With --lift: what it had is good again as well."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Revoke all certificates of an agent and let it have no other, or revoke just one."""
    if with_certificates and not lift:
        message = "--with-certificates goes with --lift"
        fail("TOKEN_INVALID", message, ExitCode.USAGE, as_json=as_json)
    revoked: list[str] = []
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        if lift:
            orders.lift(database, agent_id, serial, by, with_certificates=with_certificates)
        else:
            reason = reason[: LIMITS.reason_characters]
            revoked = orders.expel(database, agent_id, serial, by, reason)
    if as_json:
        print_json({"agent_id": agent_id, "lifted": lift, "revoked": revoked})
    elif lift:
        screen.print(f"{agent_id}: lifted")
    elif serial:
        screen.print(f"{agent_id}: {len(revoked)} certificates revoked")
    else:
        screen.print(f"{agent_id} is expelled; {len(revoked)} certificates revoked")


def certificates_(
    agent_id: Annotated[str, typer.Argument(help="Only those of this agent.")] = "",
    *,
    folder: Folder,
    as_json: AsJson = False,
) -> None:
    """Certificates that agents were given and that are not long expired."""
    with (
        reported(as_json=as_json),
        closing(CloudFolder(folder).open()) as database,
        database.reading() as connection,
    ):
        found = certificates.known(connection, agent_id or None)
    rows = [
        {
            "agent_id": one.certificate.agent_id,
            "serial": one.certificate.serial,
            "issued": _moment(one.certificate.issued_unix),
            "expires": _moment(one.certificate.expires_unix),
            "source": one.source,
            "renewed_from": one.parent,
            "revoked": bool(one.revoked),
        }
        for one in found
    ]
    if as_json:
        print_json({"certificates": rows})
        return
    columns = ["agent_id", "serial", "issued", "expires", "source", "revoked"]
    table("Certificates", columns, [[shown(str(one[name])) for name in columns] for one in rows])


def _moment(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat()
