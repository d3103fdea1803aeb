"""`bulkhead cloud push|revoke|countersign`: what only the holder of a signing key can do.

Push and revoke store their order and, with --wait, report what the connected agents make of it:
exit status 0 if every agent has it active (or is not offered it, for a reason that is shown), 1 if
a sensor has refused it, 4 if an agent has not answered in time.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli.cloud_common import AsJson, By, Folder, problem_document, problem_line, reported
from cli.output import ExitCode, errors, print_json, screen, shown
from cloud import ceremony, progress
from cloud import push as pushing
from cloud import revoke as revoking
from cloud.errors import CloudError, CloudReason
from cloud.folder import CloudFolder, serving
from cloud.limits import LIMITS
from cloud.offers import RUNNING, Release, Standing
from cloud.signing import SigningKey
from cloud.store import releases
from cloud.store.database import Database
from cloud.views import Types, type_name
from content.definitions import load_definitions

Keys = Annotated[
    list[Path], typer.Option("--key", help="A targets key (signing.key); as many as are needed.")
]
Target = Annotated[
    str, typer.Argument(help="Hash of a Channel File, or a Template Type: its newest one.")
]
Wait = Annotated[
    float, typer.Option(help="Seconds to wait for the connected agents' answers.", min=0.0)
]
COLOURS: dict[str, str] = {
    **dict.fromkeys(RUNNING, "green"),
    Standing.REJECTED: "red",
    Standing.QUARANTINED: "red",
    Standing.UNDELIVERED: "red",
    Standing.WITHHELD: "yellow",
}


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the connected agents made of an order."""

    hosts: list[progress.Progress]
    good_refusal: bool = False

    @property
    def settled(self) -> bool:
        return all(one.settled for one in self.hosts)

    def exit_code(self) -> ExitCode:
        if not self.settled:
            return ExitCode.UNREACHABLE
        refused = any(one.refused for one in self.hosts) and not self.good_refusal
        return ExitCode.REFUSED if refused else ExitCode.OK


def push(
    files: Annotated[list[Path], typer.Argument(help="Channel Files (*.channel).")],
    *,
    folder: Folder,
    key: Keys,
    wait: Wait = 0.0,
    unsafe_skip_validator: Annotated[
        bool,
        typer.Option(
            "--unsafe-skip-validator", help="Push what the validator would refuse. For tests only."
        ),
    ] = False,
    by: By,
    as_json: AsJson = False,
) -> None:
    """Validate, sign and store Channel Files, all or none; a serving cloud rolls them out."""
    unsafe = unsafe_skip_validator
    cloud = CloudFolder(folder)
    with reported(as_json=as_json), closing(cloud.open()) as database:
        keys = [SigningKey.from_file(path) for path in key]
        if not unsafe:
            pushing.require_trusted(keys, cloud.trusted_keys())
        types = load_definitions()
        candidates = pushing.read_candidates(files, types, unsafe=unsafe)
        now_ns = time.time_ns()
        pushed = pushing.store(database, candidates, keys, now_ns, unsafe=unsafe, by=by)
        names = {one.content_hash: _name(one, types) for one in pushed}
        if not as_json:
            _show_pushed(pushed, names)
        targets = [_target(one, cloud, unsafe=unsafe) for one in pushed]

        def read() -> list[progress.Progress]:
            with database.reading() as store:
                return progress.of_pushes(targets, progress.connected(store))

        answers = _Answers(_follow(cloud, read, wait, names, as_json=as_json))
    if as_json:
        documents = [_pushed_document(one, names[one.content_hash]) for one in pushed]
        print_json({"pushed": documents, "refused": [], **_answers_document(answers)})
    raise SystemExit(answers.exit_code())


def revoke(
    target: Target,
    *,
    folder: Folder,
    key: Keys,
    reason: Annotated[str, typer.Option(help="Why, for whoever reads it on the hosts.")] = "",
    expires_days: Annotated[
        int, typer.Option(help="For how long hosts follow the order.", min=1, max=92)
    ] = LIMITS.order_days,
    wait: Wait = 0.0,
    by: By,
    as_json: AsJson = False,
) -> None:
    """Order every host to give a Channel File up, for good; it is never offered again.

    Again, for hosts that come back later than that: it renews the order.
    """
    cloud = CloudFolder(folder)
    with reported(as_json=as_json), closing(cloud.open()) as database:
        keys = [SigningKey.from_file(path) for path in key]
        pushing.require_trusted(keys, cloud.trusted_keys())
        types = load_definitions()
        release, holders = _find(database, target, types)
        why = revoking.Why(reason, by, expires_days)
        news = revoking.revoke(database, release, keys, why, time.time_ns())
        name = _name(release, types)
        if not as_json:
            already = "" if news else " (again: the order was renewed)"
            screen.print(f"revoked {name} {release.content_hash.hex()}{already}", soft_wrap=True)

        def read() -> list[progress.Progress]:
            with database.reading() as store:
                fleet = progress.connected(store)
                return progress.of_revocation(release.content_hash, holders, fleet)

        names = {release.content_hash: name}
        answers = _Answers(_follow(cloud, read, wait, names, as_json=as_json), good_refusal=True)
    if as_json:
        revoked = {"content_hash": release.content_hash.hex(), "content": name, "news": news}
        print_json({"revoked": revoked, **_answers_document(answers)})
    raise SystemExit(answers.exit_code())


def countersign(
    target: Target,
    *,
    folder: Folder,
    key: Annotated[Path, typer.Option(help="The customer's key.")],
    by: By,
    as_json: AsJson = False,
) -> None:
    """Add a customer's signature to a Channel File, for hosts that ask for one."""
    cloud = CloudFolder(folder)
    with reported(as_json=as_json), closing(cloud.open()) as database:
        signing_key = SigningKey.from_file(key)
        types = load_definitions()
        release, _ = _find(database, target, types)
        content_hash, now_ns = release.content_hash, time.time_ns()
        with database.writing() as connection:
            ceremony.countersign(connection, content_hash, signing_key, now_ns, by)
    name = _name(release, types)
    if as_json:
        print_json({"content_hash": release.content_hash.hex(), "key_id": signing_key.key_id})
    else:
        screen.print(f"{name} signed by {signing_key.key_id} as well", soft_wrap=True)


def _find(database: Database, target: str, types: Types) -> tuple[Release, list[str]]:
    with database.reading() as store:
        release = revoking.find(releases.all_releases(store), target, types)
        return release, progress.holders(release.content_hash, progress.connected(store))


def _follow(
    cloud: CloudFolder,
    read: Callable[[], list[progress.Progress]],
    seconds: float,
    names: dict[bytes, str],
    *,
    as_json: bool,
) -> list[progress.Progress]:
    if not seconds:
        return []
    if serving(cloud) is None:
        raise CloudError(
            CloudReason.NOT_SERVING, f"{cloud.path}: stored, but no process serves this folder"
        )

    def tell(one: progress.Progress) -> None:
        if as_json:
            return
        colour = COLOURS.get(one.state, "default")
        screen.print(
            f"  {shown(one.agent_id)}: {names[one.content_hash]} [{colour}]{one.state}[/{colour}]"
        )
        for refusal in one.refusals:
            screen.print(f"    {problem_line(refusal)}", soft_wrap=True)

    found = progress.follow(read, seconds, tell)
    if not as_json:
        _conclude(found, seconds)
    return found


def _conclude(found: list[progress.Progress], seconds: float) -> None:
    open_ones = {one.agent_id for one in found if not one.settled}
    agents = {one.agent_id for one in found}
    if open_ones:
        names = ", ".join(sorted(map(shown, open_ones)))
        errors.print(f"[red]{CloudReason.NO_ANSWER}[/red] after {seconds:g} s from {names}")
    else:
        answered = f"answered: all connected agents ({len(agents)})"
        screen.print(answered if agents else "[yellow]no agent is connected[/yellow]")


def _target(one: pushing.Pushed, cloud: CloudFolder, *, unsafe: bool) -> progress.Target:
    note = serving(cloud)
    forced = unsafe and note is not None and note.unsafe
    return progress.Target(one.content_hash, one.template_type, one.version, one.push, forced)


def _name(one: pushing.Pushed | Release, types: Types) -> str:
    return f"{type_name(one.template_type, types)} {one.version}"


def _show_pushed(pushed: list[pushing.Pushed], names: dict[bytes, str]) -> None:
    for one in pushed:
        again = " (again)" if one.repeated else ""
        screen.print(
            f"pushed {names[one.content_hash]}, {one.instances} instances, "
            f"{one.content_hash.hex()}{again}",
            soft_wrap=True,
        )
        for warning in one.warnings:
            line = f"[yellow]warning[/yellow] {shown(str(one.file))}: {problem_line(warning)}"
            screen.print(line, soft_wrap=True)


def _pushed_document(one: pushing.Pushed, name: str) -> dict[str, object]:
    return {
        "file": str(one.file),
        "content": name,
        "content_hash": one.content_hash.hex(),
        "template_type": one.template_type,
        "version": one.version,
        "instances": one.instances,
        "repeated": one.repeated,
        "warnings": [problem_document(warning) for warning in one.warnings],
    }


def _answers_document(answers: _Answers) -> dict[str, object]:
    return {
        "settled": answers.settled,
        "hosts": [
            {
                "agent_id": one.agent_id,
                "content_hash": one.content_hash.hex(),
                "state": one.state,
                "problems": [problem_document(refusal) for refusal in one.refusals],
            }
            for one in answers.hosts
        ],
    }
