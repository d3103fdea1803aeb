"""`bulkhead agent join`: this host gets its certificate, with a key that never leaves it."""

import importlib
import os
from pathlib import Path
from typing import Annotated

import typer

from agent.supervisor.settings import host_id
from cli.output import ExitCode, fail, print_json, screen, shown

UNREACHABLE = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "ENROLMENT_BUSY", "RESOURCE_EXHAUSTED"}
)


def join_command(
    join_file: Annotated[Path, typer.Argument(help="As `bulkhead cloud token new` wrote it.")],
    *,
    tls: Annotated[Path, typer.Option(help="New folder for certificate and key.")],
    agent_id: Annotated[
        str, typer.Option(help="Name of this sensor (default: the join file's, else this host's).")
    ] = "",
    address: Annotated[
        str, typer.Option(help="HOST:PORT to join at (default: the join file's).")
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Replace what this agent had before.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Join the fleet: make a key, have it certified, write agent.pem, agent.key, ca.pem, root.json.

    Start the sensor with that folder as --tls; it renews its certificate by itself.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    enrolment = importlib.import_module("agent.link.enrolment")
    errors = importlib.import_module("agent.link.errors")
    try:
        file = enrolment.read_join_file(join_file)
        agent_id = agent_id or file.agent_id or host_id()
        address = address or file.address
        if not address:
            fail("ADDRESS_INVALID", "no address in the join file; name one", ExitCode.USAGE)
        ends = enrolment.join(file, agent_id, address, tls.absolute(), again=again)
    except errors.JoinError as error:
        code = ExitCode.UNREACHABLE if error.reason in UNREACHABLE else ExitCode.REFUSED
        fail(error.reason, error.text, code, as_json=as_json)
    if as_json:
        print_json({"agent_id": agent_id, "tls": str(tls), "expires": ends})
        return
    screen.print(f"agent {shown(agent_id)} has joined, good until {ends}", soft_wrap=True)
    screen.print(f"certificate and key in {shown(str(tls))}; the join file can go", soft_wrap=True)
