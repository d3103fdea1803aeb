"""`bulkhead agent quarantine [lift DIGEST]`: what the sensor on this host will not run, and why.

The running supervisor is asked; it lifts a quarantine without a restart. Root only, or the user
that the sensor runs as: nobody else gets an answer.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.supervisor.control import ask
from agent.supervisor.settings import DEFAULT_CONTROL
from cli.output import ExitCode, fail, print_json, screen, shown, table

HASH_DIGITS = 16

application = typer.Typer(invoke_without_command=True)

Control = Annotated[Path, typer.Option(help="Socket on which the supervisor answers.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@application.callback()
def listed(
    context: typer.Context, *, control: Control = DEFAULT_CONTROL, as_json: AsJson = False
) -> None:
    """List the files and Template Instances in quarantine: which, since when, and why.

    4: no sensor answers.
    """
    if context.invoked_subcommand is not None:
        return
    document = _asked(control, "quarantine", as_json=as_json)
    if as_json:
        print_json(document)
        return
    rows = [_row("instance", one, one["digest"]) for one in document["instances"]]
    rows += [_row("file", one, one["hash"]) for one in document["files"]]
    if not rows:
        screen.print("nothing is in quarantine")
        return
    names = ["kind", "digest or hash", "instance", "Template Type", "reason", "deaths", "since"]
    table("Quarantine", names, rows)


@application.command()
def lift(
    digest: Annotated[str, typer.Argument(help="Of an instance, or hash of a file; or its start.")],
    *,
    control: Control = DEFAULT_CONTROL,
    as_json: AsJson = False,
) -> None:
    """Lift the quarantine of an instance or a file, without a restart of the sensor.

    An instance is run again at once. A file is accepted again once it is pushed anew. The first
    digits of the digest are enough where they fit one entry only.

    1: nothing of that name is in quarantine. 4: no sensor answers.
    """
    document = _asked(control, "quarantine", as_json=as_json)
    names = [one["digest"] for one in document["instances"]]
    names += [one["hash"] for one in document["files"]]
    fitting = sorted({name for name in names if digest and name.startswith(digest.lower())})
    if len(fitting) != 1:
        reason = "AMBIGUOUS_DIGEST" if fitting else "NOT_IN_QUARANTINE"
        message = f"{digest}; {len(fitting)} entries begin so, expected one"
        fail(reason, message, ExitCode.REFUSED, as_json=as_json)
    answer = _asked(control, "lift", as_json=as_json, digest=fitting[0])
    if as_json:
        print_json(answer)
    else:
        screen.print(f"lifted: {answer['kind']} {answer['lifted']}", soft_wrap=True)


def _asked(control: Path, command: str, *, as_json: bool, digest: str = "") -> dict[str, Any]:
    try:
        answer = ask(control, command=command, digest=digest)
    except (OSError, ValueError) as error:
        fail("NO_AGENT", f"{control}: {error}", ExitCode.UNREACHABLE, as_json=as_json)
    if "error" in answer:
        fail(answer["error"], str(answer.get("found", "")), ExitCode.REFUSED, as_json=as_json)
    return answer


def _row(kind: str, one: Mapping[str, Any], name: str) -> list[str]:
    since = datetime.fromtimestamp(one["since"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    return [
        kind,
        name[:HASH_DIGITS],
        shown(one["instance"]) or "-",
        str(one["template_type"] or "-"),
        shown(one["reason"]),
        str(one["deaths"] or "-"),
        since if one["since"] else "-",
    ]
