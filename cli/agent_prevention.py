"""`bulkhead agent prevention on|off|status`: the switch of this host's owner.

The order goes to the running supervisor, which has followed it when it answers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.supervisor.control import ask
from agent.supervisor.settings import DEFAULT_CONTROL
from cli.output import ExitCode, fail, print_json, screen, shown, table
from content.escape import safe

PREVENTION = ("on", "off")


def prevention_command(
    *,
    order: Annotated[str, typer.Argument(help="on, off or status.")] = "status",
    control: Annotated[
        Path, typer.Option(help="Socket on which the supervisor answers.")
    ] = DEFAULT_CONTROL,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output.")
    ] = False,
) -> None:
    """Let the sensor on this host stop programs, or only detect.

    Holds from now on, over restarts too, until it is changed again. Exit status 4: no sensor
    answers.
    """
    if order not in (*PREVENTION, "status"):
        found = f"{safe(order)}; expected on, off or status"
        fail("UNKNOWN_POLICY", found, ExitCode.USAGE, as_json=as_json)
    try:
        if order in PREVENTION:
            ask(control, command="prevention", policy=order)
        document = ask(control)
    except (OSError, ValueError) as error:
        fail("NO_AGENT", f"{control}: {error}", ExitCode.UNREACHABLE, as_json=as_json)
    if as_json:
        print_json({**document["prevention"], "verdicts": document["verdicts"]})
    else:
        _show(document)


def prevention_line(prevention: Mapping[str, Any], verdicts: Mapping[str, int]) -> str:
    """How prevention is, in one line of markup."""
    if prevention["policy"] == "off":
        return "prevention [bold yellow]off[/bold yellow], by this host's policy"
    by_kernel = sum(prevention["kernel_stopped"].values())
    place = f"{prevention['kernel_paths']} paths in the kernel" if prevention["kernel"] else ""
    words = place or "by verdicts only"
    return (
        f"prevention [green]on[/green], {words}; programs stopped: {by_kernel} by the kernel, "
        f"{verdicts.get('STOPPED', 0)} by verdicts"
    )


def _show(document: Mapping[str, Any]) -> None:
    prevention = document["prevention"]
    screen.print(prevention_line(prevention, document["verdicts"]))
    stopped = [[shown(path), str(count)] for path, count in prevention["kernel_stopped"].items()]
    if stopped:
        table("Stopped by the kernel", ["path", "programs"], stopped)
    refused = [[shown(path), reason] for path, reason in prevention["refused"].items()]
    if refused:
        table("Not taken into the kernel", ["path", "reason"], refused)
