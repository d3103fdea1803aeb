"""Host groups, Content Update Policies, and the plan by which new rollouts begin.

Whatever is set is written to the audit log in the same transaction.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from cloud.rollout.plan import STAGED, Plan, from_text, to_text
from cloud.rollout.policy import DEFAULT_POLICY, ContentUpdatePolicy, Ring
from cloud.store import audit
from cloud.store.database import put
from cloud.store.tables import HOST_GROUPS, PLANS, POLICIES

DEFAULT_GROUP = "default"
"""The group of every host that is in no other one."""

EVERY_CATEGORY = 0
"""In place of a Template Type's number: all of them."""

NEW_ROLLOUTS = "new rollouts"


@dataclass(frozen=True, slots=True)
class Policies:
    """Who is in which group, and what the groups want: by group and Template Type."""

    groups: Mapping[str, str]
    policies: Mapping[tuple[str, int], ContentUpdatePolicy]

    def group_of(self, agent_id: str) -> str:
        """The group of a host."""
        return self.groups.get(agent_id, DEFAULT_GROUP)

    def of(self, agent_id: str, template_type: int) -> ContentUpdatePolicy:
        """The policy of a host for one category: its own, the group's for all, or the default."""
        group = self.group_of(agent_id)
        for category in (template_type, EVERY_CATEGORY):
            if (found := self.policies.get((group, category))) is not None:
                return found
        return DEFAULT_POLICY


def read(connection: Connection) -> Policies:
    """All groups and policies."""
    groups = {row[0]: row[1] for row in connection.execute(select(HOST_GROUPS))}
    policies = {
        (row["group"], row["template_type"]): ContentUpdatePolicy(
            ring=Ring(row["ring"]),
            delay_hours=row["delay_hours"],
            pinned=row["pinned"],
            paused=row["paused"],
            prevention=row["prevention"],
        )
        for row in connection.execute(select(POLICIES)).mappings()
    }
    return Policies(groups, policies)


def set_group(connection: Connection, agent_id: str, group: str, by: str, now_ns: int) -> None:
    """Put a host into a group; into the default one by taking it out of every other."""
    if group == DEFAULT_GROUP:
        connection.execute(delete(HOST_GROUPS).where(HOST_GROUPS.c.agent_id == agent_id))
    else:
        put(connection, HOST_GROUPS, [{"agent_id": agent_id, "group": group}])
    audit.append(connection, by, "group", agent_id, {"group": group}, now_ns)


def set_policy(
    connection: Connection,
    group: str,
    template_type: int,
    policy: ContentUpdatePolicy,
    by: str,
    now_ns: int,
) -> None:
    """Replace the policy of a group for one category, or for all that have none of their own."""
    row = dataclasses.asdict(policy) | {"ring": policy.ring.value}
    put(connection, POLICIES, [{"group": group, "template_type": template_type, **row}])
    detail = {"template_type": template_type, **row}
    audit.append(connection, by, "policy", group, detail, now_ns)


def plan(connection: Connection) -> Plan:
    """By which plan new rollouts begin; in stages, unless another one was set."""
    query = select(PLANS.c.plan).where(PLANS.c.name == NEW_ROLLOUTS)
    text = connection.execute(query).scalar()
    return STAGED if text is None else from_text(text)


def set_plan(connection: Connection, chosen: Plan, by: str, now_ns: int) -> None:
    """From now on; rollouts that have begun keep theirs."""
    text = to_text(chosen)
    put(connection, PLANS, [{"name": NEW_ROLLOUTS, "plan": text}])
    audit.append(connection, by, "plan", NEW_ROLLOUTS, {"plan": text}, now_ns)
