"""What every command prints, and how: results on standard output, errors on standard error.

With `--json` a command prints one JSON document (or one per line where it streams) and nothing
else on standard output. Colour follows NO_COLOR and whether the output is a terminal (rich).
"""

import json
import sys
from enum import IntEnum
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from content.escape import safe

# Without emoji: a process that is named ":smile:" must not be shown as something else.
screen = Console(highlight=False, emoji=False)
errors = Console(stderr=True, highlight=False, emoji=False)


class ExitCode(IntEnum):
    """What a command's exit status means; documented in docs/command-line.md."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    PREREQUISITE_MISSING = 3
    UNREACHABLE = 4
    INTERRUPTED = 130


def print_json(document: Any) -> None:
    """One JSON document on one line, ASCII only, so that no terminal can be tricked."""
    sys.stdout.write(json.dumps(document, sort_keys=True) + "\n")
    sys.stdout.flush()


def shown(value: bytes | str) -> str:
    """Attacker-controlled text, escaped for the terminal and for rich's markup."""
    return escape(safe(value))


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table; cells must have gone through `shown` where they are not ours."""
    drawn = Table(title=title, title_justify="left")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    screen.print(drawn)


def fail(reason: str, message: str, code: ExitCode, *, as_json: bool = False) -> NoReturn:
    """Print an error with its stable reason code on standard error and end the command."""
    if as_json:
        sys.stderr.write(json.dumps({"error": {"reason": reason, "message": message}}) + "\n")
    else:
        errors.print(f"[red]error[/red] {escape(reason)}: {shown(message)}", soft_wrap=True)
    raise SystemExit(code)
