"""`bulkhead cloud incident`: what became of one crash, from the records alone."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from cli.cloud_common import AsJson, Folder, reported
from cli.output import print_json, screen, shown
from cloud.errors import CloudReason, FolderError
from cloud.folder import CloudFolder
from cloud.incident import account, document, pages, records, telling
from content.definitions import load_definitions

MARKDOWN, HTML = "incident.md", "incident.html"


def incident(
    report_id: Annotated[str, typer.Argument(help="Id of a crash report.")],
    *,
    folder: Folder,
    agent_id: Annotated[
        str | None, typer.Option(help="Whose report it is, where several have this id.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help=f"Folder for {MARKDOWN} and {HTML}; made if need be.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Timeline, blast radius, culprit, what stopped it and what it cost; Markdown, or files."""
    types = load_definitions()
    with reported(as_json=as_json):
        with closing(CloudFolder(folder).open()) as database, database.reading() as connection:
            found = records.read(connection, report_id, agent_id)
        told = account.account(found)
        page = telling.page(told, found.release, types)
        if output is not None:
            _write(output, page)
    if as_json:
        print_json(document.document(told, found.release, types))
    elif output is None:
        typer.echo(pages.markdown(page), nl=False)
    else:
        screen.print(f"{shown(str(output / MARKDOWN))}, {shown(str(output / HTML))}")


def _write(folder: Path, page: pages.Page) -> None:
    """Under names of ours: an id is an agent's."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in ((MARKDOWN, pages.markdown(page)), (HTML, pages.html(page))):
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        place = error.filename or folder
        raise FolderError(
            CloudReason.FILE_UNWRITABLE, f"{place}: {error.strerror}; expected a folder to write to"
        ) from error
