"""`bulkhead content new|explain|diff`: begin an instance, see why it matches, see what changed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cli.content_common import AsJson, refusals
from cli.output import ExitCode, fail, print_json, screen, shown
from content.authoring import assemble, read_instance
from content.checking import Checked, read_all
from content.definitions import load_definitions
from content.difference import Difference, Key, difference
from content.display import criterion_text
from content.escape import safe
from content.event_of import inputs_of
from content.model import TemplateInstance
from content.problems import ContentError
from content.reasons import Reason
from content.samples import Explanation, explain, shown_value
from content.skeleton import id_problem, skeleton
from content.supply import Supply
from content.template_type import Rung, TemplateType
from content.validator import validate


def new_command(
    template_type: Annotated[str, typer.Argument(metavar="TYPE", help="Template Type, by name.")],
    instance_id: Annotated[str, typer.Argument(metavar="ID", help="As in ID.yaml.")],
    *,
    output: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder for the file.")
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Begin an instance: a commented YAML file, refused by `check` until its samples are there."""
    with refusals(as_json=as_json):
        by_name = {one.name: one for one in load_definitions().values()}
        if template_type not in by_name:
            message = f"{template_type}; expected one of {', '.join(by_name)}"
            fail("UNKNOWN_TEMPLATE_TYPE", message, ExitCode.USAGE, as_json=as_json)
        if expected := id_problem(instance_id):
            message = f"{instance_id}; expected {expected}"
            fail("INVALID_ID", message, ExitCode.USAGE, as_json=as_json)
        path = output / f"{instance_id}.yaml"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(skeleton(by_name[template_type], instance_id))
        except FileExistsError:
            message = f"{path} is there already, and is left as it is"
            fail("FILE_EXISTS", message, ExitCode.REFUSED, as_json=as_json)
    if as_json:
        print_json({"file": str(path), "template_type": template_type, "id": instance_id})
    else:
        screen.print(
            f"{shown(str(path))} is written; fill it in, then: bulkhead content check "
            f"{shown(str(path))}",
            soft_wrap=True,
        )


def explain_command(
    event: Annotated[
        str,
        typer.Argument(
            help="Name of a sample of the instance, FILE.npz:TYPE:ROW of a recording, or a JSON "
            "object of inputs by field."
        ),
    ],
    instance: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="YAML file.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Say criterion by criterion why an instance matches an event, or why not."""
    with refusals(as_json=as_json, file=instance):
        types = load_definitions()
        authored = read_instance(instance, types)
        (assembled,) = assemble([authored], 1)
        found = validate(assembled.channel_file, Supply.of(types, Rung.BPF_BTF), types)
        # An event can be explained before there are samples.
        if problems := [one for one in found if one.reason is not Reason.SAMPLE_MISSING]:
            raise ContentError([assembled.locate(one) for one in problems])
        inputs = inputs_of(event, authored, types)
        explained = explain(authored.instance, authored.template_type, inputs)
    failed = {one.clause for one in explained if not one.held}
    matched = len(failed) < len(authored.instance.clauses)
    if as_json:
        criteria = [_document(one) for one in explained]
        print_json({"id": authored.instance.id, "matched": matched, "criteria": criteria})
        return
    _show(authored.instance, authored.template_type, explained, matched=matched)


def _document(one: Explanation) -> dict[str, str | int | bool]:
    return {
        "clause": one.clause,
        "criterion": one.criterion,
        "field": one.field.name,
        "held": one.held,
        "value": shown_value(one),
    }


def _show(
    instance: TemplateInstance,
    template_type: TemplateType,
    explained: list[Explanation],
    *,
    matched: bool,
) -> None:
    for number, clause in enumerate(instance.clauses):
        of_clause = [one for one in explained if one.clause == number]
        held = all(one.held for one in of_clause)
        screen.print(f"clause {number} {'[green]holds[/green]' if held else 'does not hold'}")
        for one in of_clause:
            mark = "[green]held  [/green]" if one.held else "[red]failed[/red]"
            wanted = escape(criterion_text(clause.criteria[one.criterion], template_type))
            screen.print(f"  {mark}  {wanted}", soft_wrap=True)
            screen.print(
                f"          saw {one.field.name} = {escape(shown_value(one))}", soft_wrap=True
            )
    verdict = "[green]matches[/green]" if matched else "[red]does not match[/red]"
    screen.print(f"{shown(instance.id)} {verdict}")


def diff_command(
    old: Annotated[Path, typer.Argument(exists=True, readable=True, help="Before.")],
    new: Annotated[Path, typer.Argument(exists=True, readable=True, help="After.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Say which instances were added, removed or changed, and in which part.

    Both may be a .channel file, a YAML file or a folder. Nothing is validated but form.
    """
    with refusals(as_json=as_json):
        types = load_definitions()
        found = difference(_read(old, types), _read(new, types), types)
    names = {number: one.name for number, one in types.items()}
    if as_json:
        print_json(_difference_document(found, names))
    else:
        _show_difference(found, names)


def _read(path: Path, types: Mapping[int, TemplateType]) -> Checked:
    found = read_all([path], types)
    if found.problems:
        raise ContentError(found.problems)
    return found


def _name(key: Key, names: dict[int, str]) -> str:
    number, instance_id = key
    return f"{names.get(number, number)}/{instance_id}"


def _difference_document(found: Difference, names: dict[int, str]) -> dict[str, object]:
    return {
        "same": found.is_empty,
        "added": [_name(key, names) for key in found.added],
        "removed": [_name(key, names) for key in found.removed],
        "changed": {
            _name(key, names): {one.part: {"old": one.old, "new": one.new} for one in parts}
            for key, parts in found.changed.items()
        },
        "unchanged": found.unchanged,
        "versions": {
            str(names.get(number, number)): {"old": old, "new": new}
            for number, (old, new) in found.versions.items()
        },
    }


def _show_difference(found: Difference, names: dict[int, str]) -> None:
    for number, (old, new) in found.versions.items():
        if old != new:
            before, after = (one if one is not None else "none" for one in (old, new))
            screen.print(f"version of {names.get(number, number)}: {before} → {after}")
    for key in found.added:
        screen.print(f"[green]added[/green]    {shown(_name(key, names))}")
    for key in found.removed:
        screen.print(f"[red]removed[/red]  {shown(_name(key, names))}")
    for key, parts in found.changed.items():
        listed = ", ".join(one.part for one in parts)
        screen.print(f"[yellow]changed[/yellow]  {shown(_name(key, names))}: {listed}")
        for part in parts:
            for line in part.lines:
                screen.print(f"    {part.part}  {escape(_printable(line))}", soft_wrap=True)
    screen.print(f"{found.unchanged} unchanged")


def _printable(line: str) -> str:
    """One line; what is escaped already stays as it is."""
    return "".join(one if one.isprintable() else safe(one) for one in line)
