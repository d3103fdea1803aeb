"""An incident as a JSON document, with the numbers of the report and their names."""

from dataclasses import asdict
from typing import Any

from cloud.incident.account import Account
from cloud.offers import Release
from cloud.views import Types, crash, moment, type_name


def document(account: Account, release: Release | None, types: Types) -> dict[str, Any]:
    """Times in ISO 8601, stretches in seconds."""
    return {
        "crash": crash(account.crash, types),
        "content": None
        if release is None
        else {
            "content_hash": release.content_hash.hex(),
            "template_type": type_name(release.template_type, types),
            "version": release.version,
            "unsafe": release.unsafe,
        },
        "instances": dict(account.instances),
        "deaths": account.deaths,
        "roles": dict(account.roles),
        "causes": dict(account.causes),
        "actions": dict(account.actions),
        "hosts": dict(account.hosts),
        "platforms": dict(account.platforms),
        "fleet": account.fleet,
        "reached": account.reached,
        "given_up": account.given_up,
        "running": account.running,
        "deaths_until_quarantine": account.worst,
        "halt": None if account.halt is None else asdict(account.halt),
        "outages": [
            {
                "agent_id": one.agent_id,
                "from": moment(one.start),
                "seconds": one.seconds,
                "waited": one.waited,
            }
            for one in account.outages
        ],
        "lost": dict(account.lost),
        "late_detections": account.late,
        "longest_wait_seconds": account.longest_wait,
        "timeline": [
            {"time": moment(one.time_unix_ns), "who": one.who, "what": one.what}
            for one in account.timeline
        ],
    }
