"""`bulkhead content test`: content against recorded events, before it goes anywhere.

Prints what every instance would have detected, how often, and what it costs. The exit status is
REFUSED where an instance is noisy (unless that is allowed) or broke a check, or content is refused.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.content_common import AsJson, Paths, print_problems, print_warnings, refusals
from cli.output import ExitCode, errors, print_json, screen, shown
from content.checking import Checked, check
from content.definitions import load_definitions
from content.escape import safe
from content.problems import Problem
from content.recorded_events import Recording
from content.recorded_events_reader import load
from content.replay import Content, Example, NoiseLimits, Outcome, Replay, TypeCost, replay

LISTED_INSTANCES = 50
"""Where there are more, those that matched nothing are only counted."""

_DEFAULTS = NoiseLimits()
_HEADING = f"{'matches':>8} {'of events':>9} {'share':>8} {'µs/event':>9}  instance"


def replay_command(
    paths: Paths,
    *,
    events: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="What `bulkhead agent record` wrote."),
    ],
    noisy_matches: Annotated[
        int, typer.Option(min=0, help="More matches than this are noise.")
    ] = _DEFAULTS.matches,
    noisy_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="So is a larger share, from 1,000 events on."),
    ] = _DEFAULTS.share,
    allow_noisy: Annotated[
        bool, typer.Option("--allow-noisy", help="Noisy instances don't fail the command.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Try content on recorded events: what it detects, how often, what it costs per event.

    Content is checked first, for the rung of the kernel dependency ladder that was recorded on.
    """
    with refusals(as_json=as_json):
        types = load_definitions()
        recording = load(events, types)
        with errors.status("Checking and replaying…"):
            checked = check(paths, types, recording.rung)
            if not checked.problems:
                noise = NoiseLimits(noisy_matches, noisy_share)
                replayed = replay(_content(checked), types, recording, noise)
    if checked.problems:
        if as_json:
            print_json({"accepted": False, "problems": list(map(asdict, checked.problems))})
        else:
            print_problems(checked.problems, screen)
        raise SystemExit(ExitCode.REFUSED)
    _report(recording, replayed, checked.warnings, as_json=as_json)
    failed = any(one.fault or (one.noisy and not allow_noisy) for one in replayed.outcomes)
    raise SystemExit(ExitCode.REFUSED if failed else ExitCode.OK)


def _content(checked: Checked) -> Content:
    content: list[tuple[Any, list[str]]] = [
        (one.channel_file, [source.file for source in one.sources]) for one in checked.authored
    ]
    for path, channel_file in checked.packed.items():
        content.append((channel_file, [str(path)] * len(channel_file.instances)))
    return content


def _report(
    recording: Recording, replayed: Replay, warnings: Sequence[Problem], *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "accepted": True,
                "recording": {
                    "rung": recording.rung,
                    "started": recording.started.isoformat(),
                    "seconds": recording.seconds,
                    "events": recording.count,
                    "losses": list(map(asdict, recording.losses)),
                },
                "instances": list(map(_outcome_document, replayed.outcomes)),
                "costs": list(map(_cost_document, replayed.costs)),
                "warnings": list(map(asdict, warnings)),
            }
        )
        return
    screen.print(
        f"{recording.count} events, recorded {recording.started:%Y-%m-%d %H:%M:%S} UTC in "
        f"{recording.seconds:.1f} s on rung {recording.rung}"
    )
    for loss in recording.losses:
        screen.print(f"[yellow]lost while recording[/yellow] {shown(loss.cause)}: {loss.count}")
    _show_outcomes(replayed.outcomes)
    print_warnings(warnings, screen)
    for cost in replayed.costs:
        name, many = cost.template_type.name, f"{cost.instances} instances"
        if cost.microseconds is None:
            screen.print(f"{name}: no events were recorded; {many} were not tried")
            continue
        screen.print(
            f"{name}: {cost.events} events, {many} together {cost.microseconds:.2f} µs per event"
        )


def _show_outcomes(outcomes: tuple[Outcome, ...]) -> None:
    listed = sorted(outcomes, key=lambda one: (-one.matches, one.instance.id))
    if len(listed) > LISTED_INSTANCES:
        listed = [one for one in listed if one.matches or one.fault]
        screen.print(f"{len(outcomes) - len(listed)} instances matched nothing")
    screen.print(_HEADING)
    for one in listed:
        screen.print(_line(one), soft_wrap=True)
        for example in one.examples:
            screen.print(f"{'':>12}{_example_text(example)}", soft_wrap=True)
    for one in listed:
        name = shown(one.instance.id)
        if one.noisy:
            screen.print(f"[red]NOISY[/red] {name}: {one.noisy}", soft_wrap=True)
        if one.fault:
            left = f"; not decided on {one.undecided} events" if one.undecided else ""
            screen.print(f"[red]FAULT[/red] {name}: {shown(one.fault)}{left}", soft_wrap=True)


def _line(outcome: Outcome) -> str:
    events, matches, cost = outcome.events, outcome.matches, outcome.microseconds
    share = f"{matches / events:.2%}" if events else "-"
    alone = f"{cost:.2f}" if cost is not None else "-"
    name = shown(outcome.instance.id)
    return f"{matches:>8} {events:>9} {share:>8} {alone:>9}  {outcome.template_type.name}/{name}"


def _example_text(example: Example) -> str:
    when = f"{example.time:%H:%M:%S.%f}"[:-3]
    return f"row {example.row}  {when}  {shown(example.image)}  {shown(example.command_line)}"


def _outcome_document(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": outcome.instance.id,
        "file": outcome.file,
        "template_type": outcome.template_type.name,
        "events": outcome.events,
        "matches": outcome.matches,
        "share": outcome.matches / outcome.events if outcome.events else None,
        "microseconds_per_event": outcome.microseconds,
        "noisy": outcome.noisy,
        "fault": outcome.fault,
        "undecided": outcome.undecided,
        "examples": [
            {
                "row": one.row,
                "time": one.time.isoformat(),
                "image": safe(one.image),
                "command_line": safe(one.command_line),
            }
            for one in outcome.examples
        ],
    }


def _cost_document(cost: TypeCost) -> dict[str, Any]:
    return {
        "template_type": cost.template_type.name,
        "events": cost.events,
        "instances": cost.instances,
        "microseconds_per_event": cost.microseconds,
    }
