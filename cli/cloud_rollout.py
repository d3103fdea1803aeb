"""`bulkhead cloud rollout …`: how far content has come, and the orders of its operators."""

import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.cloud_common import AsJson, By, Folder, reported
from cli.output import print_json, screen, shown, table
from cloud import orders
from cloud import revoke as revoking
from cloud.errors import CloudReason, ContentStateError
from cloud.folder import CloudFolder
from cloud.limits import LIMITS
from cloud.rollout.plan import PLANS, PlanName
from cloud.rollout.table import State
from cloud.store import policies, releases, rollouts
from cloud.store.database import Database
from cloud.store.rollouts import Stored
from cloud.views import Types, type_name
from content.definitions import load_definitions

application = typer.Typer(
    no_args_is_help=True, help="How far content has come: list, show, promote, pause, halt."
)
Target = Annotated[
    str, typer.Argument(help="Hash of a Channel File, or a Template Type: its newest one.")
]
FromStage = Annotated[
    State, typer.Option("--stage", help="The stage that it is in; refused if it is not.")
]
Reason = Annotated[str, typer.Option(help="Why, for the audit log.")]
HASH_DIGITS = 12
COLOURS = {
    State.COMPLETE.value: "green",
    State.HALTED.value: "red",
    State.SUPERSEDED.value: "dim",
    "passed": "green",
    "open": "yellow",
    "failed": "red",
}


@application.command("list")
def list_(*, folder: Folder, as_json: AsJson = False) -> None:
    """All rollouts, oldest first."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        types = load_definitions()
        with database.reading() as connection:
            seats = rollouts.seats(connection)
            found = [
                _document(one, types, len(seats.get(one.started.content_hash, ())))
                for one in rollouts.all_rollouts(connection)
            ]
    if as_json:
        print_json({"rollouts": found})
        return
    columns = ["content", "hash", "plan", "state", "seats", "open or failed"]
    table("Rollouts", columns, [_row(one) for one in found])


@application.command()
def show(target: Target, *, folder: Folder, as_json: AsJson = False) -> None:
    """One rollout with its gates, as of the last look."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        types = load_definitions()
        stored = _find(database, target, types)
        with database.reading() as connection:
            seats = rollouts.seats(connection).get(stored.started.content_hash, frozenset())
        document = _document(stored, types, len(seats)) | _order_document(database, stored)
    if as_json:
        print_json(document)
        return
    _tell(document)
    rows = [
        [shown(g["gate"]), _coloured(g["outcome"]), shown(g["found"]), shown(g["expected"])]
        for g in document["gates"]
    ]
    table("Gates", ["gate", "", "found", "expected"], rows)


@application.command()
def plan(
    *,
    folder: Folder,
    use: Annotated[
        PlanName | None, typer.Option(help="For rollouts that begin from now on.")
    ] = None,
    bake_seconds: Annotated[
        float | None, typer.Option(help="Of every stage, in place of the plan's own.", min=0.0)
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option(help="Least of each new instance in every stage.", min=0)
    ] = None,
    approval: Annotated[
        bool, typer.Option("--approval", help="An operator has to promote every stage.")
    ] = False,
    by: By,
    as_json: AsJson = False,
) -> None:
    """Show by which plan new rollouts begin, or choose one; those under way keep theirs."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        if use is not None:
            chosen = PLANS[use].quickened(bake_seconds, evaluations, approval=approval)
            with database.writing() as connection:
                policies.set_plan(connection, chosen, by, time.time_ns())
        with database.reading() as connection:
            current = policies.plan(connection)
    stages = {
        state.value: {
            "share": one.share,
            "bake_seconds": one.bake_seconds,
            "evaluations": one.evaluations,
            "deadline_seconds": one.deadline_seconds,
        }
        for state, one in current.stages.items()
    }
    if as_json:
        print_json({"plan": current.name, "approval": current.approval, "stages": stages})
        return
    screen.print(f"new rollouts begin by plan {current.name}")
    if not current.gated:
        screen.print("[yellow]everybody at once, without gates: for single hosts only[/yellow]")
        return
    rows = [[name, *(f"{value:g}" for value in one.values())] for name, one in stages.items()]
    table("Stages", ["stage", "share", "bake s", "evaluations", "deadline s"], rows)


@application.command()
def promote(
    target: Target, *, folder: Folder, stage: FromStage, by: By, as_json: AsJson = False
) -> None:
    """Go up one stage, where the plan asks for approval and all gates have passed."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        types = load_definitions()
        found = _find(database, target, types).started.content_hash
        _done(orders.promote(database, found, stage, by), types, as_json=as_json)


@application.command()
def pause(target: Target, *, folder: Folder, by: By, as_json: AsJson = False) -> None:
    """Offer nothing more and go up no stage until resumed; the gates are still judged."""
    _pause(target, folder, by, paused=True, as_json=as_json)


@application.command()
def resume(target: Target, *, folder: Folder, by: By, as_json: AsJson = False) -> None:
    """Go on where it was paused."""
    _pause(target, folder, by, paused=False, as_json=as_json)


@application.command()
def halt(
    target: Target, *, folder: Folder, reason: Reason = "", by: By, as_json: AsJson = False
) -> None:
    """Stop for good, and take it back from every host that may have it."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        types = load_definitions()
        found = _find(database, target, types).started.content_hash
        reason = reason[: LIMITS.reason_characters]
        halted = orders.halt(database, found, by, reason)
        _show(_document(halted, types) | _order_document(database, halted), as_json=as_json)


@application.command()
def override(
    target: Target,
    *,
    folder: Folder,
    stage: FromStage,
    by: Annotated[list[str], typer.Option(help="Who gives the order: twice, two operators.")],
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Two operators take one stage as passed; the next ones are gated as ever."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        types = load_definitions()
        found = _find(database, target, types).started.content_hash
        after = orders.override(database, found, stage, by, reason)
        _done(after, types, as_json=as_json)


def _pause(target: str, folder: Path, by: str, *, paused: bool, as_json: bool) -> None:
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        types = load_definitions()
        found = _find(database, target, types).started.content_hash
        _done(orders.pause(database, found, by, paused=paused), types, as_json=as_json)


def _find(database: Database, target: str, types: Types) -> Stored:
    with database.reading() as connection:
        known = releases.all_releases(connection)
        release = revoking.find(known, target, types)
        stored = rollouts.find(connection, release.content_hash)
    if stored is None:
        raise ContentStateError(CloudReason.ROLLOUT_UNKNOWN, f"{target!a}: has no rollout")
    return stored


def _document(stored: Stored, types: Types, seats: int | None = None) -> dict[str, Any]:
    rollout = stored.rollout
    return {
        "content": f"{type_name(stored.started.template_type, types)} {stored.started.version}",
        "content_hash": stored.started.content_hash.hex(),
        "plan": rollout.plan.name,
        "state": rollout.state.value,
        "paused": rollout.paused,
        "reason": rollout.reason,
        "seats": seats,
        "baked_seconds": round(rollout.baked, 1),
        "waited_seconds": round(rollout.waited, 1),
        "new_instances": list(stored.started.new_instances),
        "gates": [
            {
                "gate": one.gate,
                "outcome": one.outcome.value,
                "found": one.found,
                "expected": one.expected,
            }
            for one in rollout.verdicts
        ],
    }


def _order_document(database: Database, stored: Stored) -> dict[str, bool]:
    with database.reading() as connection:
        expired = orders.order_expired(connection, stored.started.content_hash, time.time_ns())
    return {"order_expired": expired}


def _done(stored: Stored, types: Types, *, as_json: bool) -> None:
    _show(_document(stored, types), as_json=as_json)


def _show(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        _tell(document)


def _tell(document: dict[str, Any]) -> None:
    paused = " [yellow]paused[/yellow]" if document["paused"] else ""
    screen.print(
        f"{shown(document['content'])} {document['content_hash'][:HASH_DIGITS]} by plan "
        f"{document['plan']}: {_coloured(document['state'])}{paused}",
        soft_wrap=True,
    )
    if document["reason"]:
        screen.print(f"  {shown(document['reason'])}", soft_wrap=True)
    if document.get("order_expired"):
        screen.print(
            "  [yellow]the order to give it up has expired: a host that still has it keeps it; "
            "`bulkhead cloud revoke` signs a new one[/yellow]",
            soft_wrap=True,
        )


def _row(document: dict[str, Any]) -> list[str]:
    waiting = [one["gate"] for one in document["gates"] if one["outcome"] != "passed"]
    paused = " paused" if document["paused"] else ""
    return [
        shown(document["content"]),
        document["content_hash"][:HASH_DIGITS],
        document["plan"],
        _coloured(document["state"]) + paused,
        str(document["seats"]),
        shown(document["reason"] or ", ".join(waiting)),
    ]


def _coloured(word: str) -> str:
    colour = COLOURS.get(word, "default")
    return f"[{colour}]{word}[/{colour}]"
