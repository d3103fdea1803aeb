"""When the sensor says that it protects, and why it does less than it could."""

from types import SimpleNamespace
from typing import Any

import pytest

from agent.supervisor.search import Search
from agent.supervisor.status import StatusSources, reduced

PLAIN: dict[str, Any] = {
    "collection": object(),
    "rung": "bpf_btf",
    "lowered": False,
    "given_up": {},
    "files": frozenset({"file"}),
    "works": True,
    "active": {1: "file"},
    "unserved": {},
    "skipped": {},
    "degraded": False,
    "search": None,
    "not_judged": False,
}


def sources(**different: Any) -> StatusSources:
    """A sensor that does all that it could, unless something is different."""
    said = SimpleNamespace(**{**PLAIN, **different})
    worker = SimpleNamespace(files=said.files) if said.works else None
    manifest = SimpleNamespace(active=said.active)
    found: Any = SimpleNamespace(
        collecting=SimpleNamespace(
            collection=said.collection, rung=said.rung, lowered=said.lowered
        ),
        joining=SimpleNamespace(needs=SimpleNamespace(given_up=lambda: said.given_up)),
        evaluators=SimpleNamespace(worker=worker),
        seeding=SimpleNamespace(failed=said.not_judged),
        flow=SimpleNamespace(
            manifest=manifest,
            skipped=said.skipped,
            working=SimpleNamespace(
                unserved=said.unserved, degraded=said.degraded, search=said.search
            ),
        ),
    )
    return StatusSources(
        settings=found,
        run="",
        boot_id="",
        uptime_seconds=0.0,
        flow=found.flow,
        evaluators=found.evaluators,
        collecting=found.collecting,
        joining=found.joining,
        linking=found,
        judging=found,
        ledger=found,
        seeding=found.seeding,
        prevention=found,
        reports=found,
        attempts={},
    )


@pytest.mark.parametrize(
    ("different", "protecting"),
    [
        ({}, True),
        ({"collection": None}, False),
        ({"works": False}, False),
        ({"files": frozenset()}, False),
        ({"files": frozenset(), "active": {}}, True),
    ],
)
def test_protecting_is_said_only_of_a_worker_with_content(
    different: dict[str, Any], *, protecting: bool
) -> None:
    """A host whose content is all off would be called protected."""
    assert sources(**different).protecting is protecting


@pytest.mark.parametrize(
    ("different", "reasons"),
    [
        ({}, []),
        ({"collection": None}, ["NO_COLLECTION"]),
        ({"lowered": True, "rung": "bpf_tracepoint"}, ["RUNG_BPF_TRACEPOINT"]),
        ({"lowered": True, "rung": "psutil"}, ["RUNG_PSUTIL"]),
        ({"given_up": {4: object()}}, ["TEMPLATE_TYPE_NOT_COLLECTED"]),
        ({"not_judged": True}, ["RUNNING_PROCESSES_NOT_JUDGED"]),
        ({"works": False}, ["NO_EVALUATOR"]),
        ({"unserved": {"file": []}}, ["CONTENT_UNSERVED"]),
        ({"skipped": {"file": {}}}, ["INSTANCES_SKIPPED"]),
        ({"degraded": True}, ["CONTENT_OFF"]),
        ({"search": Search.of(frozenset("a"))}, ["CONTENT_SEARCHED"]),
    ],
)
def test_each_reduction_has_its_reason(
    monkeypatch: pytest.MonkeyPatch, different: dict[str, Any], reasons: list[str]
) -> None:
    """The sensor would do less than it could, and nobody would know."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    found = reduced(sources(**different))
    assert [one for one in found if one != "PREVENT_OFF"] == reasons


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial run by a developer would look like protection."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert reduced(sources()) == ["NOT_ROOT"]
