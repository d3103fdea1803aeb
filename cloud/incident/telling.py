"""An incident in words: what was to blame, whom it hit, what stopped it, what it cost."""

from collections import Counter

from bulkhead.v1.report_pb2 import CrashReport
from cloud.incident.account import Account, Outage, role
from cloud.incident.pages import Block, Grid, Heading, Page, Paragraph, Points
from cloud.offers import Release
from cloud.views import Types, moment, type_name
from content.loss_causes import missing

HOSTS_SHOWN = 20


def page(account: Account, release: Release | None, types: Types) -> Page:
    """The whole report."""
    report = account.crash.report
    blocks: list[Block] = [
        Paragraph(_summary(account)),
        Heading("Culprit"),
        Points(_culprit(report, release, account, types)),
        Heading("Blast radius"),
        Points(_radius(account)),
        _counted("Deaths by host", "host", Counter(dict(account.hosts)), "deaths"),
        Heading("What stopped it"),
        Points(_stopped(account)),
        Heading("What it cost"),
        Points(_cost(account)),
        *_losses(account),
        Heading("Timeline"),
        Paragraph("By the cloud's clock: when it learned of it."),
        Grid(
            "What happened",
            ["time", "who", "what"],
            [[moment(one.time_unix_ns), one.who, one.what] for one in account.timeline],
        ),
        Paragraph(
            "From the cloud's records alone. Of each host they say where content stands now, not "
            "every state on the way there; and what a host has not reported is not in them."
        ),
    ]
    return Page(f"Incident {report.id}", blocks)


def _summary(account: Account) -> str:
    died = ", ".join(f"{name} {count}" for name, count in account.roles.most_common())
    return (
        f"{things(account.deaths, 'process')} died on {things(len(account.hosts), 'host')} "
        f"of {account.fleet} ({died}). {_verdict(account)}"
    )


def _verdict(account: Account) -> str:
    if account.running:
        return f"The content is still in force on {things(account.running, 'host')}."
    if account.given_up:
        return "The content is in force nowhere."
    return "No content is in force that was blamed."


def _culprit(
    report: CrashReport, release: Release | None, account: Account, types: Types
) -> list[str]:
    points = []
    if report.suspect_content_hash:
        what = f"Channel File {report.suspect_content_hash.hex()}"
        if release is not None:
            version = f"{type_name(release.template_type, types)} {release.version}"
            pushed = ", pushed without the Content Validator" if release.unsafe else ""
            what += f": {version}{pushed}"
        points.append(what)
    else:
        points.append("No content is suspected.")
    for name, count in account.instances.most_common(HOSTS_SHOWN):
        points.append(f"Template Instance {name}, named by {things(count, 'report')}")
    if report.suspect_sequence:
        kind = type_name(report.suspect_template_type, types)
        points.append(f"on event {report.suspect_sequence} of Template Type {kind}")
    how = f"signal {report.signal}" if report.signal else f"exit status {report.exit_code}"
    trial = ", in its trial" if report.in_trial else ""
    points.append(f"The report asked for: {role(report)} died of {report.cause}, {how}{trial}")
    points += [f"It tried {one.name}: {one.count} times" for one in report.attempts]
    return points


def _radius(account: Account) -> list[str]:
    points = [
        f"The content came to {things(account.reached, 'host')} of {account.fleet}; "
        f"processes died on {len(account.hosts)} of them."
        if account.reached
        else f"Processes died on {things(len(account.hosts), 'host')} of {account.fleet}."
    ]
    points += [
        f"{platform or 'platform unknown'}: {things(count, 'host')}"
        for platform, count in account.platforms.most_common(HOSTS_SHOWN)
    ]
    points += [f"of {cause}: {things(count, 'death')}" for cause, count in account.causes.items()]
    return points


def _stopped(account: Account) -> list[str]:
    points = [
        f"after {things(count, 'death')} the sensor said {action}"
        for action, count in account.actions.most_common()
    ]
    if account.worst is not None:
        points.append(
            "Where a sensor put the culprit into quarantine, it did so "
            f"after at most {things(account.worst, 'death')} on its host."
        )
    if account.halt is not None:
        reason = f": {account.halt.reason}" if account.halt.reason else ""
        points.append(
            f"The content was ordered back {account.halt.seconds:.1f} s after the first report, "
            f"by {account.halt.by}{reason}."
        )
    if account.given_up:
        points.append(f"{things(account.given_up, 'host')} gave it up.")
    return points


def _cost(account: Account) -> list[str]:
    points = []
    if account.outages:
        worst = max(account.outages, key=lambda one: one.seconds)
        total = sum(one.seconds for one in account.outages)
        waited = sum(one.waited for one in account.outages)
        points.append(
            f"Protection was delayed {things(len(account.outages), 'time')}, {total:.2f} s over "
            f"all hosts; longest {worst.seconds:.2f} s. {things(waited, 'event')} waited, and then "
            "were evaluated."
        )
    else:
        points.append("No host says that nobody evaluated.")
    points.append(
        f"Detections that came late: {account.late}"
        + (f", one of them by {account.longest_wait:.2f} s or more" if account.late else "")
    )
    lost = account.lost.total()
    points.append(
        f"Detections that were missed: at most {lost}, the events and reports that are lost."
        if lost
        else "Detections that were missed: none, no event and no report is lost."
    )
    return points


def _losses(account: Account) -> list[Block]:
    blocks: list[Block] = []
    if account.lost:
        rows = [[cause, missing(cause), str(n)] for cause, n in account.lost.most_common()]
        blocks.append(Grid("Lost", ["cause", "what", "count"], rows))
    if account.outages:
        longest = sorted(account.outages, key=lambda one: -one.seconds)[:HOSTS_SHOWN]
        columns = ["host", "from (its clock)", "seconds", "events that waited"]
        blocks.append(Grid("Longest delays", columns, [_outage(one) for one in longest]))
    return blocks


def _outage(one: Outage) -> list[str]:
    return [one.agent_id, moment(one.start), f"{one.seconds:.3f}", str(one.waited)]


def _counted(caption: str, of: str, counts: Counter[str], what: str) -> Grid:
    rows = [[name, str(count)] for name, count in counts.most_common(HOSTS_SHOWN)]
    if more := len(counts) - len(rows):
        rows.append([f"{more} more", str(counts.total() - sum(int(row[1]) for row in rows))])
    return Grid(caption, [of, what], rows)


def things(count: int, what: str) -> str:
    """`1 host`, `2 hosts`, `2 processes`."""
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"
