"""`bulkhead cloud fleet|detections|crashes|losses`: what the store holds, for people or as JSON.

Whatever an agent or a process on its host may have chosen is escaped before it is shown.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from sqlalchemy import Connection

from cli.cloud_common import AsJson, Folder, reported
from cli.output import print_json, screen, shown, table
from cloud import views
from cloud.folder import CloudFolder, serving
from cloud.store import reports
from content.definitions import load_definitions

Limit = Annotated[int, typer.Option(help="How many of the newest to show.", min=1, max=100_000)]
Document = dict[str, Any]
FOLLOW_SECONDS = 0.2
STATE_COLOURS = {"accepted": "green", "active": "green", "withheld": "yellow"}
SEVERITY_COLOURS = {"critical": "red", "high": "red", "medium": "yellow"}
HASH_DIGITS = 12
SECONDS_END = len("2024-07-19T04:09:00")


def fleet(*, folder: Folder, as_json: AsJson = False) -> None:
    """Hosts with their rung, content and losses; what is kept from them, and why."""
    cloud = CloudFolder(folder)
    with reported(as_json=as_json), closing(cloud.open()) as database:
        served = serving(cloud) is not None
        with database.reading() as store:
            found = views.fleet(store, load_definitions(), time.time_ns(), served=served)
        if as_json:
            print_json(found)
        else:
            _show_fleet(found)


def detections(
    *,
    folder: Folder,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as they come.")] = False,
    limit: Limit = 50,
    after: Annotated[int, typer.Option(help="Only those stored after this number.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Detections, oldest first; with --follow and --json, one JSON document per line."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        types = load_definitions()
        while True:
            with database.reading() as store:
                stored = reports.latest_detections(store, limit, after)
            found = [views.detection(one, types) for one in stored]
            after = found[-1]["number"] if found else after
            _show_detections(found, follow=follow, as_json=as_json)
            if not follow:
                return
            time.sleep(FOLLOW_SECONDS)


def crashes(*, folder: Folder, limit: Limit = 50, as_json: AsJson = False) -> None:
    """Crash reports, oldest first: which role died, how, on what content, and what was done."""
    columns = ["time", "host", "role", "cause", "suspect", "event", "action"]
    read = _reader(folder, limit, reports.latest_crashes, views.crash)
    _show_reports("crashes", columns, read, _crash_row, as_json=as_json)


def losses(*, folder: Folder, limit: Limit = 50, as_json: AsJson = False) -> None:
    """What was not seen, not evaluated or evaluated late: reports, oldest first, and their sums.

    The sums, by host and cause, are of all reports, not only of those that are listed.
    """
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        types = load_definitions()
        with database.reading() as store:
            found = [views.loss(one, types) for one in reports.latest_losses(store, limit)]
            sums = [views.loss_total(one, types) for one in reports.loss_totals(store)]
    if as_json:
        print_json({"losses": found, "totals": sums})
        return
    columns = ["from", "to", "host", "type", "cause", "count", "of"]
    table("Losses", columns, [_loss_row(one) for one in found])
    table("By host and cause", columns, [_loss_row(one) for one in sums])


def _reader(
    folder: Path,
    limit: int,
    latest: Callable[[Connection, int], Sequence[Any]],
    view: Callable[[Any, views.Types], Document],
) -> Callable[[], list[Document]]:
    def read() -> list[Document]:
        types = load_definitions()
        with closing(CloudFolder(folder).open()) as database, database.reading() as store:
            return [view(one, types) for one in latest(store, limit)]

    return read


def _show_reports(
    name: str,
    columns: list[str],
    read: Callable[[], list[Document]],
    row: Callable[[Document], list[str]],
    *,
    as_json: bool,
) -> None:
    with reported(as_json=as_json):
        found = read()
        if as_json:
            print_json({name: found})
        else:
            table(name.capitalize(), columns, [row(one) for one in found])


def _show_fleet(found: Document) -> None:
    if not found["serving"]:
        screen.print("[yellow]no process serves this cloud[/yellow]")
    columns = ["host", "connected", "rung", "sensor", "heard", "active", "deaths", "lost"]
    table("Fleet", columns, [_host_row(host) for host in found["hosts"]])
    complained = [
        [shown(host["agent_id"]), _content_name(one), _state(one["state"]), _reasons(one)]
        for host in found["hosts"]
        for one in host["content"]
        if one["state"] not in {"active", "accepted"} or one["problems"]
    ]
    if complained:
        table("Not active, or not all of it", ["host", "content", "state", "reason"], complained)
    rungs = [
        [shown(host["agent_id"]), escape(one["rung"]), shown(one["reason"]), shown(one["detail"])]
        for host in found["hosts"]
        for one in host["refused_rungs"]
    ]
    if rungs:
        table("Rungs refused", ["host", "rung", "reason", "what was said"], rungs)
    content = [
        [
            _content_name(one),
            one["content_hash"][:HASH_DIGITS],
            str(one["instances"]),
            _short(one["pushed"]),
            _flags(one),
        ]
        for one in found["content"]
    ]
    table("Channel Files", ["content", "hash", "instances", "pushed", ""], content)


def _host_row(host: Mapping[str, Any]) -> list[str]:
    rung = escape(host["rung"])
    reduced = " [red]reduced[/red]" if host["reduced_functionality"] else ""
    reduced += " [bold yellow]prevention off[/bold yellow]" if host["prevention"] == "off" else ""
    active = [f"{escape(one['template_type'])} {one['version']}" for one in host["active"]]
    return [
        shown(host["agent_id"]),
        _connected(host),
        (rung if host["best_rung"] else f"[bold yellow]{rung}[/bold yellow]") + reduced,
        shown(host["sensor_version"]),
        f"{host['heartbeat_age_seconds']:.1f} s ago",
        ", ".join(active) or "[yellow]nothing[/yellow]",
        str(host["evaluator_deaths"]),
        str(host["events_lost"]),
    ]


def _connected(host: Mapping[str, Any]) -> str:
    if host["expelled"]:
        return "[bold red]expelled[/bold red]"
    return "[green]yes[/green]" if host["connected"] else "[red]no[/red]"


def _short(moment: str) -> str:
    """A time to the second, for people."""
    return moment[:SECONDS_END].replace("T", " ")


def _content_name(one: Mapping[str, Any]) -> str:
    return f"{escape(one['template_type'])} {one['version']}"


def _state(state: str) -> str:
    colour = STATE_COLOURS.get(state, "red" if state in {"rejected", "quarantined"} else "default")
    return f"[{colour}]{state}[/{colour}]"


def _reasons(one: Mapping[str, Any]) -> str:
    return "\n".join(
        f"{shown(problem['reason'])} {shown(problem['place'])}: found {shown(problem['found'])}, "
        f"expected {shown(problem['expected'])}"
        for problem in one["problems"]
    )


def _flags(one: Mapping[str, Any]) -> str:
    words = ["[red]revoked[/red]"] if one["revoked"] else []
    words += ["[red]unsafe[/red]"] if one["unsafe"] else []
    return " ".join(words)


def _show_detections(found: list[Document], *, follow: bool, as_json: bool) -> None:
    if as_json and follow:
        for one in found:
            print_json(one)
    elif as_json:
        print_json({"detections": found})
    elif follow:
        for one in found:
            screen.print("  ".join(_detection_row(one)), soft_wrap=True)
    else:
        columns = ["time", "host", "severity", "instance", "command line", "parent", "what"]
        table("Detections", columns, [_detection_row(one) for one in found])


def _detection_row(one: Mapping[str, Any]) -> list[str]:
    inputs = one["inputs"]
    severity = escape(one["severity"])
    colour = SEVERITY_COLOURS.get(one["severity"], "default")
    process = inputs.get("command_line") or inputs.get("image") or inputs.get("name") or ""
    parent = inputs.get("parent_command_line") or inputs.get("parent_image") or ""
    what = [inputs[name] for name in ("operation", "path", "remote_address") if name in inputs]
    if inputs.get("observed") == "already_running":
        what.append("ran already")
    return [
        _short(one["time"]),
        shown(one["agent_id"]),
        f"[{colour}]{severity}[/{colour}]",
        f"{escape(one['template_type'])}/{shown(one['instance'])}",
        escape(str(process)),  # bytes are escaped already
        escape(str(parent)),
        escape(" ".join(map(str, what))),
    ]


def _crash_row(one: Document) -> list[str]:
    suspect = one["suspect_instance"] or one["suspect_content_hash"][:HASH_DIGITS]
    died = f"{one['cause']} {one['signal'] or one['exit_code']}"
    trial = " (trial)" if one["in_trial"] else ""
    tried = [f"tried {shown(name)}: {count}" for name, count in one["attempts"].items()]
    return [
        _short(one["time"]),
        shown(one["agent_id"]),
        escape(one["role"]),
        "\n".join((shown(died) + trial, *tried)),
        f"{escape(one['suspect_template_type'])} {shown(suspect)}" if suspect else "none",
        str(one["suspect_sequence"]),
        shown(one["action"]),
    ]


def _loss_row(one: Document) -> list[str]:
    return [
        _short(one["from"]),
        _short(one["to"]),
        shown(one["agent_id"]),
        escape(one["template_type"]),
        shown(one["cause"]),
        str(one["count"]),
        "\n".join((one["missing"], *_named(one.get("processes", ())))),
    ]


def _named(processes: Sequence[Document]) -> list[str]:
    return [f"of process {one['pid']}: {one['refused']}" for one in processes]
