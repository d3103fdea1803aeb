"""The pages: each reads the store in one transaction and says what its template shows.

Texts are passed as they are stored; `cloud.console.rendering` escapes every one of them. What
`cloud.views` has escaped already is marked as `Shown`.
"""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from bulkhead.v1.report_pb2 import CrashReport, Detection
from cloud import orders, views
from cloud.console import fleet as fleets
from cloud.console.life import life
from cloud.console.picture import picture
from cloud.console.rendering import Shown, short
from cloud.console.strip import Crash, strip
from cloud.console.visit import Answer, Desk, Page, Visit, unknown
from cloud.folder import serving
from cloud.incident import account, records, telling
from cloud.rollout.engine import passed
from cloud.rollout.policy import Ring
from cloud.rollout.table import FOLLOWING, STAGES, State
from cloud.store import audit, hosts, policies, reports, rollouts
from cloud.store.reports import Stored
from cloud.store.tables import CRASHES

Document = dict[str, Any]
EVERY = "all"
NONE_SUSPECTED = "no content is suspected"
HASH_DIGITS = 12


def fleet(visit: Visit) -> Answer:
    """The fleet at a glance, and its hosts."""
    desk = visit.desk
    served = serving(desk.cloud) is not None
    with desk.database.reading() as store:
        found = views.fleet(store, desk.types, time.time_ns(), served=served)
        known = policies.read(store)
        stored = rollouts.all_rollouts(store)
    shown = sorted(found["hosts"], key=fleets.trouble)[: desk.limits.hosts_shown]
    values = {
        "serving": served,
        "glance": fleets.glance(found["hosts"], known),
        "hosts": [
            one
            | {"ring": fleets.ring(one["agent_id"], known)}
            | {"group": known.group_of(one["agent_id"])}
            for one in shown
        ],
        "more": len(found["hosts"]) - len(shown),
        "under_way": [_rollout(one, desk) for one in stored if one.rollout.state in STAGES],
    }
    return Page("fleet.html", values)


def rollout_list(visit: Visit) -> Answer:
    """All rollouts, the newest first, and the form for a push."""
    desk = visit.desk
    with desk.database.reading() as store:
        stored = rollouts.all_rollouts(store)
        plan = policies.plan(store)
        seats = rollouts.seats(store)
    newest = stored[::-1][: desk.limits.rollouts_shown]
    found = [
        _rollout(one, desk) | {"seats": len(seats.get(one.started.content_hash, ()))}
        for one in newest
    ]
    values = {"rollouts": found, "more": len(stored) - len(newest), "plan": plan}
    return Page("rollouts.html", values)


def rollout(visit: Visit) -> Answer:
    """One rollout's life, its gates, and what can be ordered now."""
    desk, content_hash = visit.desk, visit.hash_asked_for()
    with desk.database.reading() as store:
        stored = rollouts.find(store, content_hash)
        if stored is None:
            raise unknown("no rollout of this content")
        entries = audit.about(store, stored.started.subject)
        seats = len(rollouts.seats(store).get(content_hash, ()))
        order_expired = orders.order_expired(store, content_hash, time.time_ns())
    told = life(stored, entries)
    title = f"Rollout of {_name(stored, desk)}"
    state = stored.rollout.state
    values = {
        "rollout": _rollout(stored, desk) | {"seats": seats},
        "order_expired": order_expired,
        "life": told,
        "title": title,
        "pictures": [picture(told, title, narrow=narrow) for narrow in (False, True)],
        "next": FOLLOWING.get(state),
        "may_promote": state in STAGES and stored.rollout.plan.approval and passed(stored.rollout),
        "may_pause": state in STAGES,
        "may_halt": state is not State.HALTED,
        "new_instances": stored.started.new_instances,
        "revision": stored.revision,
    }
    return Page("rollout.html", values)


def crash_list(visit: Visit) -> Answer:
    """Crash reports on a line of time, and as a table."""
    desk = visit.desk
    with desk.database.reading() as store:
        stored = reports.latest_crashes(store, desk.limits.crashes_shown)
        total = int(store.execute(select(func.count()).select_from(CRASHES)).scalar() or 0)
    found = [_crash(one, desk) for one in reversed(stored)]
    values = {
        "crashes": found,
        "more": total - len(found),
        "pictures": _strips(stored, found[::-1]) if found else (),
    }
    return Page("crashes.html", values)


def incident(visit: Visit) -> Answer:
    """What became of one crash."""
    number = visit.number_asked_for()
    desk = visit.desk
    with desk.database.reading() as store:
        columns = (CRASHES.c.agent_id, CRASHES.c.report)
        row = store.execute(select(*columns).where(CRASHES.c.number == number)).first()
        if row is None:
            raise unknown("no crash report of this number")
        found = records.read(store, CrashReport.FromString(row[1]).id, row[0])
    page = telling.page(account.account(found), found.release, desk.types)
    blocks = [{"kind": type(one).__name__, "block": one} for one in page.blocks]
    return Page("incident.html", {"title": page.title, "blocks": blocks})


def detections(visit: Visit) -> Answer:
    """The newest detections; the script adds those that come."""
    desk = visit.desk
    with desk.database.reading() as store:
        stored = reports.latest_detections(store, desk.limits.detections_shown)
    found = [detection(one, desk) for one in reversed(stored)]
    newest = stored[-1].number if stored else 0
    values = {"detections": found, "newest": newest, "kept": desk.limits.detections_shown}
    return Page("detections.html", values)


def detection(stored: Stored[Detection], desk: Desk) -> Document:
    """One detection as page and stream show it; texts that are not `Shown` are a host's."""
    one = views.detection(stored, desk.types)
    inputs = {name: Shown(value) for name, value in one["inputs"].items() if value is not None}
    process = inputs.get("command_line") or inputs.get("image") or inputs.get("name") or ""
    parent = inputs.get("parent_command_line") or inputs.get("parent_image") or ""
    what = [inputs[name] for name in ("operation", "path", "remote_address") if name in inputs]
    return {
        "number": stored.number,
        "time": one["time"],
        "host": one["agent_id"],
        "severity": one["severity"],
        "instance": f"{one['template_type']}/{one['instance']}",
        "title": one["title"],
        "process": process,
        "parent": parent,
        "what": Shown(" ".join(what)),
        "prevention": one["prevention"],
    }


def quarantine(visit: Visit) -> Answer:
    """What hosts will not run, and what they skip of what they run."""
    desk = visit.desk
    with desk.database.reading() as store:
        served = serving(desk.cloud) is not None
        found = views.fleet(store, desk.types, time.time_ns(), served=served)
    rows = [
        {"host": host["agent_id"], **one, "given_up": one["state"] in fleets.GIVEN_UP}
        for host in found["hosts"]
        for one in host["content"]
        if one["state"] in fleets.GIVEN_UP or (one["state"] != "withheld" and one["problems"])
    ]
    rows.sort(key=lambda one: str(one["changed"]), reverse=True)
    shown = rows[: desk.limits.hosts_shown]
    revoked = [one for one in found["content"] if one["revoked"]]
    values = {"rows": shown, "more": len(rows) - len(shown), "revoked": revoked}
    return Page("quarantine.html", values)


def policy_list(visit: Visit) -> Answer:
    """Groups and what they want, and the forms to change it."""
    desk = visit.desk
    with desk.database.reading() as store:
        known = policies.read(store)
        agents = [one.hello.agent_id for one in hosts.all_hosts(store)]
    members: dict[str, list[str]] = {policies.DEFAULT_GROUP: []}
    for agent_id in sorted({*agents, *known.groups}):
        members.setdefault(known.group_of(agent_id), []).append(agent_id)
    rows = [
        {
            "group": group,
            "category": views.type_name(number, desk.types) if number else EVERY,
            "policy": policy,
        }
        for (group, number), policy in sorted(known.policies.items())
    ]
    groups = sorted({*members, *(str(one["group"]) for one in rows)})
    values = {
        "policies": rows,
        "groups": {one: members.get(one, [])[: desk.limits.hosts_shown] for one in groups},
        "counts": {one: len(members.get(one, [])) for one in groups},
        "rings": [one.value for one in Ring],
        "categories": [EVERY, *sorted(one.name for one in desk.types.values())],
    }
    return Page("policies.html", values)


def audit_log(visit: Visit) -> Answer:
    """The latest entries, or those before a number; the command line proves the chain."""
    desk = visit.desk
    asked = visit.query.get("before", "")
    with desk.database.reading() as store:
        newest = audit.newest_number(store)
        before = int(asked) if asked.isdecimal() and len(asked) < HASH_DIGITS else newest + 1
        entries = audit.latest(store, desk.limits.entries_shown, before)
    rows = [
        {
            "number": one.number,
            "time": views.moment(one.time_unix_ns),
            "actor": one.actor,
            "action": one.action,
            "subject": one.subject,
            "detail": one.detail,
        }
        for one in entries
    ]
    earlier = entries[-1].number if entries and entries[-1].number > 1 else None
    return Page("audit.html", {"entries": rows, "earlier": earlier, "newest": newest})


def _rollout(stored: rollouts.Stored, desk: Desk) -> Document:
    rollout = stored.rollout
    waiting = [one.gate for one in rollout.verdicts if one.outcome != "passed"]
    return {
        "content": _name(stored, desk),
        "content_hash": stored.started.content_hash.hex(),
        "started": views.moment(stored.started.started_unix_ns),
        "plan": rollout.plan.name,
        "state": rollout.state.value,
        "paused": rollout.paused,
        "reason": rollout.reason,
        "waiting": waiting,
    }


def _name(stored: rollouts.Stored, desk: Desk) -> str:
    return f"{views.type_name(stored.started.template_type, desk.types)} {stored.started.version}"


def _crash(stored: Stored[CrashReport], desk: Desk) -> Document:
    one = views.crash(stored, desk.types)
    suspect = one["suspect_instance"] or one["suspect_content_hash"][:HASH_DIGITS]
    culprit = f"{one['suspect_template_type']} {suspect}" if suspect else NONE_SUSPECTED
    died = f"{one['role']} died of {one['cause']}, "
    died += f"signal {one['signal']}" if one["signal"] else f"exit status {one['exit_code']}"
    return one | {"culprit": culprit, "died": died}


def _strips(stored: Sequence[Stored[CrashReport]], told: Sequence[Document]) -> list[str]:
    crashes = [
        Crash(
            raw.received_unix_ns,
            one["culprit"],
            one["action"],
            f"{one['received']} {one['agent_id']}: {one['died']}; {one['action']}",
        )
        for raw, one in zip(stored, told, strict=True)
    ]
    times = [one.time_unix_ns for one in crashes]
    span = (short(views.moment(min(times))), short(views.moment(max(times))))
    return [strip(crashes, span, narrow=narrow) for narrow in (False, True)]
