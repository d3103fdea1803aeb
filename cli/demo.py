"""`bulkhead demo`: show and verify what Bulkhead exists for, on real kernel events."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.output import ExitCode, errors, print_json
from lab.demo.demo import run
from lab.demo.world import is_root

application = typer.Typer(invoke_without_command=True)


@application.callback()
def demo(
    *,
    output: Annotated[Path, typer.Option(help="Folder for report.json and logs.")] = Path(
        "build/demo"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="The report on standard output.")] = False,
) -> None:
    """Run the demonstration; exit status 0 only if every claim was verified.

    Needs root: BPF, and users of their own for the roles.
    """
    if not is_root():
        errors.print("not root: without BPF most claims can't be verified; try sudo")
        raise SystemExit(ExitCode.PREREQUISITE_MISSING)
    claims = run(output, quiet=as_json)
    if as_json:
        print_json({"claims": [asdict(claim) for claim in claims.found], "holds": claims.all_hold})
    raise SystemExit(ExitCode.OK if claims.all_hold else ExitCode.REFUSED)
