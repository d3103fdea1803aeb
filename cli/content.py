"""`bulkhead content …`: what an author of content needs; the larger commands are registered here.

Each command reads files, asks `content`, and prints what it was told; nothing is decided here.
Problems of content go to standard output in `check`, whose result they are, else to standard error.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cli.content_common import (
    AsJson,
    Paths,
    RungOption,
    has_text,
    print_problems,
    print_warnings,
    refusals,
)
from cli.content_compare import diff_command, explain_command, new_command
from cli.content_schema import schema_command
from cli.content_sigma import import_sigma_command
from cli.content_test import replay_command
from cli.output import ExitCode, errors, fail, print_json, screen, shown
from content.channel_file import Envelope, content_hash, load, pack, pack_envelope, read_envelope
from content.checking import PACKED_SUFFIX, Checked, check
from content.definitions import load_definitions
from content.display import channel_file_document, text_lines
from content.files import replace_file
from content.problems import ContentError
from content.reference import pages
from content.template_type import Rung
from content.validator import MAX_VERSION

DOCUMENTATION = Path(__file__).resolve().parent.parent / "docs"
"""Where generated pages are kept in a working copy."""

application = typer.Typer(no_args_is_help=True)
application.command("new")(new_command)
application.command("explain")(explain_command)
application.command("diff")(diff_command)
application.command("test")(replay_command)
application.command("schema")(schema_command)
application.command("import-sigma")(import_sigma_command)


@application.command("check")
def check_command(
    paths: Paths, *, rung: RungOption = Rung.BPF_BTF, as_json: AsJson = False
) -> None:
    """Check content: form, what a sensor supplies on the rung, and its samples."""
    with refusals(as_json=as_json):
        checked = _check(paths, rung)
    kernel_paths = checked.kernel_paths(load_definitions(), rung)
    if as_json:
        print_json(
            {
                "accepted": not checked.problems,
                "instances": checked.instances,
                "kernel_paths": kernel_paths,
                "problems": list(map(asdict, checked.problems)),
                "rung": rung,
                "warnings": list(map(asdict, checked.warnings)),
            }
        )
    else:
        print_problems(checked.problems, screen)
        print_warnings(checked.warnings, screen)
        if not checked.problems:
            screen.print(f"[green]accepted[/green] on rung {rung}; instances: {checked.instances}")
            if kernel_paths:
                screen.print(f"paths that the kernel prevents by itself: {len(kernel_paths)}")
    raise SystemExit(ExitCode.REFUSED if checked.problems else ExitCode.OK)


@application.command("pack")
def pack_command(
    paths: Paths,
    *,
    version: Annotated[int, typer.Option(min=1, max=MAX_VERSION, help="Must rise each time.")],
    output: Annotated[Path, typer.Option(file_okay=False, help="Folder for the Channel Files.")],
    rung: RungOption = Rung.BPF_BTF,
    as_json: AsJson = False,
) -> None:
    """Check instances and pack them: one unsigned Channel File per Template Type."""
    with refusals(as_json=as_json):
        checked = _check(paths, rung, version)
        if checked.problems:
            raise ContentError(checked.problems)
        if checked.packed:
            message = f"{next(iter(checked.packed))} is packed already; pack takes YAML files"
            fail("ALREADY_PACKED", message, ExitCode.USAGE, as_json=as_json)
        written = _write(checked, output)
    if as_json:
        print_json({"files": written})
        return
    for file in written:
        screen.print(
            f"{shown(str(file['file']))}  version {version}  {file['instances']} instances  "
            f"{file['bytes']} bytes  {file['content_hash']}",
            soft_wrap=True,
        )


@application.command("show")
def show_command(
    path: Annotated[Path, typer.Argument(exists=True, readable=True, dir_okay=False)],
    *,
    as_json: AsJson = False,
) -> None:
    """Show what a packed Channel File says; loaded strictly, not validated."""
    with refusals(as_json=as_json, file=path):
        envelope = read_envelope(path)
        channel_file = load(envelope.payload)
        types = load_definitions()
    known = types.get(channel_file.template_type.number)
    if known is not None and known.fingerprint != channel_file.template_type.fingerprint:
        known = None
    document = channel_file_document(channel_file, known)
    document["signatures"] = [one.key_id for one in envelope.signatures]
    if as_json:
        print_json(document)
        return
    screen.print(f"signed by {', '.join(map(shown, document['signatures'])) or 'nobody'}")
    for line in text_lines(channel_file, known):
        screen.print(escape(line), soft_wrap=True)


@application.command("reference")
def reference_command(
    *,
    compare: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail where a page is out of date.")
    ] = False,
    output: Annotated[
        Path, typer.Option(file_okay=False, help="Documentation folder.")
    ] = DOCUMENTATION,
    as_json: AsJson = False,
) -> None:
    """Write the pages that are derived from the Definitions and the reason codes."""
    with refusals(as_json=as_json):
        wanted = pages(load_definitions())
        stale = [name for name, text in wanted.items() if not has_text(output / name, text)]
        if not compare:
            for name in stale:
                (output / name).parent.mkdir(parents=True, exist_ok=True)
                replace_file(output / name, wanted[name].encode())
    if as_json:
        print_json({"pages": sorted(wanted), "changed": stale, "written": not compare})
    else:
        for name in stale:
            screen.print(f"{'out of date' if compare else 'written'}: {shown(str(output / name))}")
    if compare and stale:
        raise SystemExit(ExitCode.REFUSED)


def _check(paths: list[Path], rung: Rung, version: int = 1) -> Checked:
    with errors.status("Checking…"):
        return check(paths, load_definitions(), rung, version)


def _write(checked: Checked, folder: Path) -> list[dict[str, str | int]]:
    folder.mkdir(parents=True, exist_ok=True)
    written: list[dict[str, str | int]] = []
    for one in checked.authored:
        payload = pack(one.channel_file)
        path = folder / f"{one.sources[0].template_type.name}{PACKED_SUFFIX}"
        replace_file(path, pack_envelope(Envelope(payload)))
        written.append(
            {
                "file": str(path),
                "template_type": one.channel_file.template_type.number,
                "version": one.channel_file.version,
                "instances": len(one.channel_file.instances),
                "bytes": len(payload),
                "content_hash": content_hash(payload).hex(),
            }
        )
    return written
