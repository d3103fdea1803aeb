"""What the commands of `bulkhead content` share: arguments, and how refused content is told."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from cli.output import ExitCode, errors, fail, shown
from content.limits import LIMITS
from content.problems import ContentError, Problem
from content.template_type import Rung

Paths = Annotated[
    list[Path],
    typer.Argument(
        exists=True, readable=True, help="YAML instances, packed .channel files, or folders."
    ),
]
RungOption = Annotated[
    Rung, typer.Option("--rung", help="Rung of the kernel dependency ladder to check against.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@contextmanager
def refusals(*, as_json: bool, file: Path | None = None) -> Iterator[None]:
    """End the command with a message and an exit status where content or a file is refused."""
    try:
        yield
    except ContentError as error:
        problems = [replace(one, file=one.file or str(file or "")) for one in error.problems]
        if as_json:
            refused = {"reason": "CONTENT_REFUSED", "problems": list(map(asdict, problems))}
            sys.stderr.write(json.dumps({"error": refused}) + "\n")
        else:
            print_problems(problems, errors)
        raise SystemExit(ExitCode.REFUSED) from None
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
        fail("FILE_NOT_ACCESSIBLE", message, ExitCode.REFUSED, as_json=as_json)


def print_problems(problems: Iterable[Problem], console: Console) -> None:
    """A line for each problem, and a word where there may be more."""
    shown_problems = list(problems)
    for problem in shown_problems:
        console.print(problem_line(problem), soft_wrap=True)
    if len(shown_problems) >= LIMITS.problems:
        console.print(f"there may be more than these {LIMITS.problems} problems")


def print_warnings(warnings: Iterable[Problem], console: Console) -> None:
    """A line for each warning; nothing is refused for them."""
    for warning in warnings:
        console.print(f"[yellow]warning[/yellow] {problem_line(warning, 'yellow')}", soft_wrap=True)


def problem_line(problem: Problem, colour: str = "red") -> str:
    """One line in rich's markup: file:line:column: REASON place: found …, expected …."""
    place = shown(problem.file)
    if problem.line:
        place += f":{problem.line}:{problem.column}"
    return (
        f"{place}: [{colour}]{problem.reason}[/{colour}] {shown(problem.place)}: "
        f"found {escape(problem.found)}, expected {escape(problem.expected)}"
    )


def has_text(path: Path, text: str) -> bool:
    """Whether a file is there and holds exactly this text."""
    try:
        return path.read_text(encoding="utf-8") == text
    except (FileNotFoundError, UnicodeDecodeError):
        return False
