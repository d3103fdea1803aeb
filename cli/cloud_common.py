"""What the commands of `bulkhead cloud` share: options, and errors in the command line's form."""

import getpass
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from cli.output import ExitCode, errors, fail, print_json, screen, shown
from cloud.errors import CloudError, CloudReason
from cloud.push import FileRefusals, PushRefusedError
from cloud.refusals import Refusal
from content.problems import ContentError


def login_name() -> str:
    """Who is logged in, where nobody is named; behind sudo, who called it."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


Folder = Annotated[Path, typer.Option(help="The cloud's folder, made by `bulkhead cloud init`.")]
By = Annotated[
    str, typer.Option(default_factory=login_name, help="Who gives the order, for the audit log.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]

EXITS = MappingProxyType(
    {
        CloudReason.FOLDER_MISSING: ExitCode.PREREQUISITE_MISSING,
        CloudReason.DATABASE_MISSING: ExitCode.PREREQUISITE_MISSING,
        CloudReason.KEY_MISSING: ExitCode.PREREQUISITE_MISSING,
        CloudReason.ADDRESS_INVALID: ExitCode.USAGE,
        CloudReason.AGENT_ID_INVALID: ExitCode.USAGE,
        CloudReason.POLICY_INVALID: ExitCode.USAGE,
        CloudReason.TOKEN_INVALID: ExitCode.USAGE,
        CloudReason.DATABASE_ADDRESS_INVALID: ExitCode.USAGE,
        CloudReason.NATS_ADDRESS_INVALID: ExitCode.USAGE,
        CloudReason.DATABASE_LOCKED: ExitCode.UNREACHABLE,
        CloudReason.DATABASE_UNREACHABLE: ExitCode.UNREACHABLE,
        CloudReason.NOT_SERVING: ExitCode.UNREACHABLE,
        CloudReason.NO_ANSWER: ExitCode.UNREACHABLE,
    }
)
"""Exit statuses that differ from REFUSED."""


@contextmanager
def reported(*, as_json: bool) -> Iterator[None]:
    """Turn the errors of the cloud into a message with its reason code and an exit status."""
    try:
        yield
    except PushRefusedError as error:
        _show_refused(error, as_json=as_json)
        raise SystemExit(ExitCode.REFUSED) from None
    except CloudError as error:
        fail(error.reason, str(error), EXITS.get(error.reason, ExitCode.REFUSED), as_json=as_json)
    except ContentError as error:
        fail(error.problems[0].reason, str(error), ExitCode.REFUSED, as_json=as_json)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(ExitCode.OK) from None


def require_descriptor(option: str, descriptor: int, *, as_json: bool) -> None:
    """End the command unless the descriptor is open, or none is named (-1)."""
    try:
        if descriptor >= 0:
            os.fstat(descriptor)
    except OSError as error:
        message = f"{option} {descriptor}: {error.strerror}; expected an open descriptor"
        fail("DESCRIPTOR_INVALID", message, ExitCode.USAGE, as_json=as_json)


def tell_ready(sentence: str, address: str, ready_fd: int, *, as_json: bool) -> None:
    """One line on standard output, and one JSON line on a descriptor where one is named."""
    document = {"ready": True, "address": address, "pid": os.getpid()}
    if as_json:
        print_json(document)
    else:
        screen.print(f"{sentence}; Ctrl-C ends it", soft_wrap=True)
    if ready_fd >= 0:
        with os.fdopen(ready_fd, "w") as file:
            file.write(json.dumps(document) + "\n")


def problem_document(refusal: Refusal) -> dict[str, str]:
    """A refusal as JSON documents of the cloud carry it."""
    return {
        "reason": refusal.reason,
        "place": refusal.place,
        "found": refusal.found,
        "expected": refusal.expected,
    }


def problem_line(refusal: Refusal) -> str:
    """A refusal for people, escaped."""
    return (
        f"[bold]{shown(refusal.reason)}[/bold] {shown(refusal.place)}: "
        f"found {shown(refusal.found)}, expected {shown(refusal.expected)}"
    )


def _show_refused(error: PushRefusedError, *, as_json: bool) -> None:
    if as_json:
        print_json({"pushed": [], "refused": [_refused_document(one) for one in error.files]})
        return
    for one in error.files:
        for refusal in one.refusals:
            errors.print(
                f"[red]refused[/red] {shown(str(one.file))}: {problem_line(refusal)}",
                soft_wrap=True,
            )
    errors.print("nothing was pushed")


def _refused_document(refused: FileRefusals) -> dict[str, object]:
    return {
        "file": str(refused.file),
        "problems": [problem_document(refusal) for refusal in refused.refusals],
    }
