"""`bulkhead content schema`: the form of an instance for editors, as JSON Schema."""

from pathlib import Path
from typing import Annotated

import typer

from cli.content_common import AsJson, has_text, refusals
from cli.output import ExitCode, print_json, screen, shown
from content import json_schema
from content.definitions import load_definitions
from content.files import replace_file

DEFAULT = Path(__file__).resolve().parent.parent / "docs" / json_schema.FILE
"""Where it is kept in a working copy."""


def schema_command(
    *,
    compare: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail where the file is out of date.")
    ] = False,
    output: Annotated[Path, typer.Option(dir_okay=False, help="File to write.")] = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Write the JSON Schema of instances, so that editors complete and check while typing."""
    with refusals(as_json=as_json):
        wanted = json_schema.text(load_definitions())
        stale = not has_text(output, wanted)
        if stale and not compare:
            replace_file(output, wanted.encode())
    if as_json:
        print_json({"file": str(output), "changed": stale, "written": stale and not compare})
    elif stale:
        screen.print(f"{'out of date' if compare else 'written'}: {shown(str(output))}")
    if compare and stale:
        raise SystemExit(ExitCode.REFUSED)
