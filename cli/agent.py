"""`bulkhead agent join|run|status|prevention|quarantine|record`: the sensor on this host.

`run` checks what it was given and then becomes the supervisor (the process is replaced, so that
nothing of the command line stays in memory), or with --respawn the parent that watches over it.
`status` asks the running supervisor, so what it says is true now; it never reads a file that
somebody may have left.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.supervisor.control import ask
from agent.supervisor.limits import LIMITS as SUPERVISOR_LIMITS
from agent.supervisor.settings import DEFAULT_CONTROL, DEFAULT_STATE, RUNGS
from cli import agent_quarantine
from cli.agent_join import join_command
from cli.agent_prevention import PREVENTION, prevention_command, prevention_line
from cli.agent_record import record_command
from cli.output import ExitCode, errors, fail, print_json, screen, shown, table
from cli.respawn import Respawner
from content.definitions import load_definitions
from content.escape import safe

NANOSECONDS = 1_000_000_000

FLOODER = ("pid", "start_time", "refused")

application = typer.Typer(no_args_is_help=True)
application.command("join")(join_command)
application.command("record")(record_command)
application.command("prevention")(prevention_command)
application.add_typer(agent_quarantine.application, name="quarantine")

Control = Annotated[Path, typer.Option(help="Socket on which the supervisor answers.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@application.command()
def run(
    *,
    state: Annotated[
        Path, typer.Option(help="Folder for content, outbox and detection log.")
    ] = DEFAULT_STATE,
    control: Control = DEFAULT_CONTROL,
    cloud: Annotated[
        str, typer.Option(help="HOST:PORT of the cloud; without it, local only.")
    ] = "",
    tls: Annotated[
        Path | None, typer.Option(help="Folder with ca.pem, agent.pem, agent.key, root.json.")
    ] = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option(help="Whose content is accepted: root.json, or public keys (PEM)."),
    ] = None,
    counter_trust: Annotated[
        list[Path] | None,
        typer.Option(help="Public key (PEM) of the customer's, one of which has to sign as well."),
    ] = None,
    group: Annotated[
        str, typer.Option(help="Group of this host: whose rollback orders it follows.")
    ] = "",
    agent_id: Annotated[
        str, typer.Option(help="Name of this sensor (default: from the machine id).")
    ] = "",
    rung: Annotated[
        str, typer.Option(help=f"Start at this rung: {', '.join(RUNGS)} (default: the best).")
    ] = "",
    prevention: Annotated[
        str, typer.Option(help="on or off, from now on (default: as it was last; on at first).")
    ] = "",
    roles: Annotated[Path | None, typer.Option(help="The laboratory's role table.")] = None,
    probation_seconds: Annotated[
        float, typer.Option(help="How long new content is watched.")
    ] = 30.0,
    respawn: Annotated[
        bool, typer.Option("--respawn", help="Start the supervisor again if it dies or hangs.")
    ] = False,
    collect: Annotated[
        str,
        typer.Option(
            help="Template Types to collect though no content needs them: names, or all.",
            metavar="TYPE,...",
        ),
    ] = "",
    detach_after_seconds: Annotated[
        float, typer.Option(help="How long probes stay attached that nothing needs any more.")
    ] = SUPERVISOR_LIMITS.detach_after_seconds,
    as_json: Annotated[bool, typer.Option("--json", help="Log one JSON object a line.")] = False,
) -> None:
    """Run the sensor in the foreground until SIGTERM or Ctrl-C.

    Logs to standard error. As root it loads BPF probes and gives each role its own user; as
    anybody else it polls with psutil (reduced functionality), and says so. Probes are attached for
    the Template Types that content needs, and for those that --collect names.
    """
    if rung and rung not in RUNGS:
        fail("UNKNOWN_RUNG", f"{rung}; expected one of {', '.join(RUNGS)}", ExitCode.USAGE)
    if prevention not in ("", *PREVENTION):
        fail("UNKNOWN_POLICY", f"{safe(prevention)}; expected on or off", ExitCode.USAGE)
    if os.geteuid() != 0:
        errors.print("not root: no BPF, no users of their own for the roles; polling with psutil")
    options = {
        "--state": state,
        "--control": control,
        "--cloud": cloud,
        "--tls": tls,
        "--agent-id": agent_id,
        "--group": group,
        "--rung": rung,
        "--prevention": prevention,
        "--roles": roles,
        "--probation-seconds": probation_seconds,
        "--collect": ",".join(map(str, _template_types(collect))),
        "--detach-after-seconds": detach_after_seconds,
    }
    paths = {"--trust": trust or [], "--counter-trust": counter_trust or []}
    command = _supervisor_command(options, paths, ["--json-log"] if as_json else [])
    if respawn:
        raise SystemExit(Respawner(command).run())
    os.execv(sys.executable, command)  # noqa: S606 — our own interpreter, our own module


def _template_types(names: str) -> list[int]:
    """Numbers of the Template Types that are named; ends with a usage error for unknown ones."""
    known = {one.name: number for number, one in load_definitions().items()}
    wanted = names.split(",") if names else []
    if wanted == ["all"]:
        return sorted(known.values())
    for name in wanted:
        if name not in known:
            found = f"{shown(name)}; expected all, or some of {', '.join(known)}"
            fail("UNKNOWN_TEMPLATE_TYPE", found, ExitCode.USAGE)
    return sorted({known[name] for name in wanted})


def _supervisor_command(
    options: Mapping[str, object], paths: Mapping[str, Sequence[Path]], more: Sequence[str]
) -> list[str]:
    given = {name: value for name, value in options.items() if value not in ("", None)}
    arguments = [part for name, value in given.items() for part in (name, str(value))]
    arguments += [part for name in paths for path in paths[name] for part in (name, str(path))]
    return [sys.executable, "-I", "-m", "agent.supervisor", *arguments, *more]


@application.command()
def status(*, control: Control = DEFAULT_CONTROL, as_json: AsJson = False) -> None:
    """How the sensor on this host is; exit status 0 only if it is protecting, fully.

    1: it runs with reduced functionality. 4: no sensor answers.
    """
    try:
        document = ask(control)
    except (OSError, ValueError) as error:
        fail("NO_AGENT", f"{control}: {error}", ExitCode.UNREACHABLE, as_json=as_json)
    if as_json:
        print_json(document)
    else:
        _show(document)
    raise SystemExit(ExitCode.REFUSED if document["reduced_functionality"] else ExitCode.OK)


def _show(document: Mapping[str, Any]) -> None:
    reduced = document["reduced_because"]
    condition = (
        f"[yellow]reduced: {', '.join(reduced)}[/yellow]" if reduced else "[green]full[/green]"
    )
    screen.print(
        f"agent {shown(document['agent_id'])}  rung [bold]{document['rung']}[/bold]  "
        f"functionality {condition}  up {document['uptime_ms'] / 1000:.0f} s"
    )
    screen.print(prevention_line(document["prevention"], document["verdicts"]))
    _show_if("Rungs refused", ["rung", "reason", "detail"], document["refused_rungs"])
    table("Roles", ["role", "pid", "state"], _role_rows(document["roles"]))
    collection = document["collection"]
    if collection is not None:
        rows = [
            [number, str(ring["produced"]), str(ring["accounted"])]
            for number, ring in collection["rings"].items()
        ]
        title = (
            f"Rings ({len(collection['probes'])} probes, {collection['attachments']} attachments)"
        )
        table(title, ["Template Type", "produced", "accounted for"], rows)
        if collection["seeding"] is not None:
            screen.print(_seeding_line(collection["seeding"]))
        types = ["number", "name", "collected", "because"]
        table("Template Types", types, _type_rows(document["template_types"]))
    content = document["content"]
    rows = [
        [str(f["template_type"]), str(f["version"]), f["state"], f["hash"][:16]]
        for f in content["active"]
    ]
    table("Content in force", ["Template Type", "version", "state", "hash"], rows)
    _show_if("Quarantine", ["hash", "reason", "instance"], content["quarantine"])
    instances = content["quarantined_instances"]
    _show_if("Instances in quarantine", ["digest", "reason", "instance", "deaths"], instances)
    losses = [_loss_row(one) for one in document["losses"]]
    if losses:
        table("Losses", ["cause", "Template Type", "count", "of", "first", "last"], losses)
    floods = [
        [str(one["template_type"]), *(str(named[name]) for name in FLOODER)]
        for one in document["losses"]
        for named in one.get("processes", ())
    ]
    if floods:
        table("Processes that flooded", ["Template Type", *FLOODER], floods)
    _show_if("Deaths", ["role", "cause", "signal", "action", "tried"], _deaths(document["deaths"]))
    _show_if("Attempts that were refused", ["what", "count"], _counted(document["attempts"]))
    events = document["events"]
    screen.print("events " + "  ".join(f"{name} {count}" for name, count in events.items()))


def _seeding_line(seeding: Mapping[str, Any]) -> str:
    """What became of the processes that ran already."""
    because = f" because of {shown(seeding['because'])}" if seeding["because"] else ""
    return (
        f"processes that ran already ({seeding['state']}): {seeding['found']} found, "
        f"{seeding['judged']} judged, {seeding['executed_since']} by an exec since, "
        f"{seeding['not_judged']} not{because}"
    )


def _deaths(deaths: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [
        {**one, "tried": ", ".join(f"{what} {count}" for what, count in one["attempts"].items())}
        for one in deaths
    ]


def _counted(counts: Mapping[str, int]) -> list[Mapping[str, Any]]:
    return [{"what": what, "count": count} for what, count in counts.items()]


def _type_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Every Template Type: whether it is collected, and what for or why not."""
    rows = []
    for number, template_type in sorted(load_definitions().items()):
        why, missing = found["collected"].get(str(number)), found["missing"].get(str(number))
        collected, because = "no", "nothing needs it"
        if why is not None:
            collected, because = "yes", ", ".join(why) or "nothing any more"
        elif missing is not None:
            words = f"{missing['reason']} {missing['detail'][-200:]}".strip()
            because = f"{shown(words)}; needed for {', '.join(missing['why'])}"
        rows.append([str(number), template_type.name, collected, because])
    return rows


def _role_rows(roles: Mapping[str, Any]) -> list[list[str]]:
    rows = [["supervisor", str(roles["supervisor"]["pid"]), "runs"]]
    collector = roles["collector"]
    rows.append(["collector", str(collector["pid"] or "-"), collector["state"]])
    evaluator = roles["evaluator"]
    rows.append(
        ["evaluator", str(evaluator["pid"]), evaluator["stage"]]
        if evaluator
        else ["evaluator", "-", "missing"]
    )
    rows += [["stand-by", str(one["pid"]), one["stage"]] for one in roles["standby"]]
    link = roles["link"]
    connected = "connected" if link and link.get("connected") else "not connected"
    rows.append(["link", str(link["pid"]) if link else "-", connected if link else "missing"])
    return rows


def _loss_row(one: Mapping[str, Any]) -> list[str]:
    return [
        shown(one["cause"]),
        str(one["template_type"] or "any"),
        str(one["count"]),
        one["missing"],
        _moment(one["from_unix_ns"]),
        _moment(one["to_unix_ns"]),
    ]


def _moment(unix_ns: int) -> str:
    return datetime.fromtimestamp(unix_ns // NANOSECONDS, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _show_if(title: str, names: list[str], entries: Sequence[Mapping[str, Any]]) -> None:
    if entries:
        table(title, names, [[shown(str(entry[name])) for name in names] for entry in entries])
