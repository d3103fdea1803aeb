"""`bulkhead cloud group|policy …`: which hosts belong together, and what content they want when."""

import time
from contextlib import closing
from typing import Annotated, Any

import typer

from cli.cloud_common import AsJson, By, Folder, reported
from cli.output import print_json, screen, shown, table
from cloud import orders
from cloud.authority import require_agent_id
from cloud.errors import CloudReason, PolicyError
from cloud.folder import CloudFolder
from cloud.rollout.policy import DEFAULT_POLICY, ContentUpdatePolicy, Ring
from cloud.store import policies
from cloud.views import Types, type_name
from content.definitions import load_definitions

group_application = typer.Typer(no_args_is_help=True, help="Groups of hosts: list, set.")
application = typer.Typer(
    no_args_is_help=True, help="Content Update Policies of host groups: list, set."
)
EVERY = "all"


@group_application.command("list")
def list_groups(*, folder: Folder, as_json: AsJson = False) -> None:
    """Hosts that are in another group than the default one."""
    with (
        reported(as_json=as_json),
        closing(CloudFolder(folder).open()) as database,
        database.reading() as connection,
    ):
        groups = dict(sorted(policies.read(connection).groups.items()))
    if as_json:
        print_json({"groups": groups, "others": policies.DEFAULT_GROUP})
    else:
        table("Groups", ["host", "group"], [[shown(one), shown(groups[one])] for one in groups])


@group_application.command("set")
def set_group(
    agent_id: Annotated[str, typer.Argument(help="Name of the agent.")],
    group: Annotated[str, typer.Argument(help="Its group; `default` takes it out of any other.")],
    *,
    folder: Folder,
    by: By,
    as_json: AsJson = False,
) -> None:
    """Put a host into a group, before or after it has connected for the first time."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        require_agent_id(agent_id)
        orders.require_group(group)
        with database.writing() as connection:
            policies.set_group(connection, agent_id, group, by, time.time_ns())
    if as_json:
        print_json({"agent_id": agent_id, "group": group})
    else:
        screen.print(f"{agent_id} is in group {group}")


@application.command("list")
def list_policies(*, folder: Folder, as_json: AsJson = False) -> None:
    """All policies; whoever has none takes content when it is generally available."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        types = load_definitions()
        with database.reading() as connection:
            found = policies.read(connection).policies
        documents = [_document(key, one, types) for key, one in sorted(found.items())]
    if as_json:
        print_json({"policies": documents})
        return
    columns = ["group", "category", "ring", "delay h", "pinned", "paused", "prevention"]
    table("Policies", columns, [[shown(str(one)) for one in row.values()] for row in documents])


@application.command("set")
def set_policy(
    group: Annotated[str, typer.Argument(help="The group; `default` is of all other hosts.")],
    *,
    folder: Folder,
    category: Annotated[
        str, typer.Option(help="A Template Type; `all` is for those without a policy of their own.")
    ] = EVERY,
    ring: Annotated[Ring | None, typer.Option(help="When the group wants content.")] = None,
    delay_hours: Annotated[
        float | None, typer.Option(help="Hours to wait after general availability.")
    ] = None,
    pin: Annotated[
        int | None, typer.Option(help="The only version that is wanted; 0: any.", min=0)
    ] = None,
    paused: Annotated[
        bool | None, typer.Option("--paused/--running", help="Take no updates at all, or do.")
    ] = None,
    prevention: Annotated[
        bool | None,
        typer.Option("--prevention/--no-prevention", help="Whether content may prevent."),
    ] = None,
    by: By,
    as_json: AsJson = False,
) -> None:
    """Set what is named of a group's policy; the rest stays as it is."""
    with reported(as_json=as_json), closing(CloudFolder(folder).open()) as database:
        types = load_definitions()
        orders.require_group(group)
        number = _category(category, types)
        with database.writing() as connection:
            before = policies.read(connection).policies.get((group, number), DEFAULT_POLICY)
            policy = ContentUpdatePolicy(
                ring=before.ring if ring is None else ring,
                delay_hours=before.delay_hours if delay_hours is None else delay_hours,
                pinned=before.pinned if pin is None else pin,
                paused=before.paused if paused is None else paused,
                prevention=before.prevention if prevention is None else prevention,
            )
            orders.require_policy(policy, every_category=number == policies.EVERY_CATEGORY)
            policies.set_policy(connection, group, number, policy, by, time.time_ns())
        document = _document((group, number), policy, types)
    if as_json:
        print_json(document)
    else:
        screen.print(", ".join(f"{name} {shown(str(one))}" for name, one in document.items()))


def _category(name: str, types: Types) -> int:
    if name == EVERY:
        return policies.EVERY_CATEGORY
    numbers = {one.name: number for number, one in types.items()}
    if name not in numbers:
        raise PolicyError(
            CloudReason.POLICY_INVALID,
            f"category {name!a:.100}: expected {EVERY} or one of {', '.join(numbers)}",
        )
    return numbers[name]


def _document(key: tuple[str, int], policy: ContentUpdatePolicy, types: Types) -> dict[str, Any]:
    group, number = key
    return {
        "group": group,
        "category": type_name(number, types) if number else EVERY,
        "ring": policy.ring.value,
        "delay_hours": policy.delay_hours,
        "pinned": policy.pinned,
        "paused": policy.paused,
        "prevention": policy.prevention,
    }
