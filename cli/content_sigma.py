"""`bulkhead content import-sigma`: public Sigma rules as authors' files, and a summary.

What was refused is printed with file, line, column and reason on standard output, since it is part
of the result. The exit status is REFUSED where any rule was; the others are written all the same.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from cli.output import ExitCode, errors, fail, print_json, screen, shown
from content.definitions import load_definitions
from content.model import Disposition
from content.problems import ContentError
from content.template_type import Rung

if TYPE_CHECKING:
    from content.sigma.importing import Outcome
    from content.sigma.refusal import Refusal


class ImportedDisposition(StrEnum):
    """What imported content may ask for; nobody prevents by what others wrote, unread."""

    OBSERVE = "observe"
    DETECT = "detect"


def import_sigma_command(
    paths: Annotated[
        list[Path], typer.Argument(exists=True, readable=True, help="Sigma rules, or folders.")
    ],
    *,
    output: Annotated[Path, typer.Option(file_okay=False, help="Folder for the instances.")],
    disposition: Annotated[
        ImportedDisposition, typer.Option(help="What a match is to lead to.")
    ] = ImportedDisposition.DETECT,
    license_name: Annotated[
        str | None,
        typer.Option("--license", help="Licence of rules that name none; DRL-1.1 if left out."),
    ] = None,
    rung: Annotated[
        Rung, typer.Option("--rung", help="Rung of the kernel dependency ladder to convert for.")
    ] = Rung.BPF_BTF,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Convert Sigma rules for Linux into instances: one file each, or a reason why not."""
    try:
        from content.sigma import importing  # noqa: PLC0415  the extra may be missing
        from content.sigma.converter import SIGMA_LICENSE, Choices  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("sigma"):
            raise
        message = "pySigma is missing; install the extra: pip install 'bulkhead[sigma]'"
        fail("SIGMA_EXTRA_MISSING", message, ExitCode.PREREQUISITE_MISSING, as_json=as_json)
    choices = Choices(Disposition[disposition.name], license_name or SIGMA_LICENSE)
    try:
        with errors.status("Converting…"):
            outcome = importing.import_rules(paths, load_definitions(), rung, choices)
            written = importing.write(outcome, output)
    except ContentError as error:
        problem = error.problems[0]
        message = f"{problem.file}: found {problem.found}, expected {problem.expected}"
        fail(problem.reason, message, ExitCode.REFUSED, as_json=as_json)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
        fail("FILE_NOT_ACCESSIBLE", message, ExitCode.REFUSED, as_json=as_json)
    if as_json:
        print_json(_document(outcome, written))
    else:
        _print(outcome, output)
    raise SystemExit(ExitCode.REFUSED if outcome.refused else ExitCode.OK)


def _document(outcome: "Outcome", written: Sequence[Path]) -> dict[str, object]:
    return {
        "rules": len(outcome.converted) + len(outcome.refused),
        "converted": [
            {
                "rule": str(one.source),
                "id": one.instance.id,
                "template_type": one.template_type.name,
                "clauses": len(one.instance.clauses),
                "file": str(file),
            }
            for one, file in zip(outcome.converted, written, strict=True)
        ],
        "refused": [
            {
                "file": str(one.file),
                "line": one.line,
                "column": one.column,
                "title": one.title,
                "reason": one.reason,
                "place": one.place,
                "found": one.found,
                "expected": one.expected,
            }
            for one in outcome.refused
        ],
        "refused_by_reason": outcome.by_reason,
    }


def _print(outcome: "Outcome", output: Path) -> None:
    for one in outcome.refused:
        screen.print(_line(one), soft_wrap=True)
    total = len(outcome.converted) + len(outcome.refused)
    where = f" into {shown(str(output))}" if outcome.converted else ""
    screen.print(f"converted {len(outcome.converted)} of {total}{where}", soft_wrap=True)
    for reason, count in outcome.by_reason.items():
        screen.print(f"  refused {count}: {reason}")


def _line(refusal: "Refusal") -> str:
    """One line in rich's markup: file:line:column: REASON place: found …, expected …."""
    place = shown(str(refusal.file))
    if refusal.line:
        place += f":{refusal.line}:{refusal.column}"
    return (
        f"{place}: [red]{refusal.reason}[/red] {shown(refusal.place)}: "
        f"found {escape(refusal.found)}, expected {escape(refusal.expected)}"
    )
