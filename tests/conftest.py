"""For all tests: avoidable skips fail in CI, no files are left, slow machines get more time."""

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

from tests.needs import UNAVOIDABLE, skips_are_forbidden
from tests.patience import FACTOR, patient

# Some tests fork, as the supervisor does. gRPC, once a test has used it in this process, would
# start its threads anew in each child, on descriptors that are closed there.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

# No database (it would lie in the checkout), and no deadline: pytest's time limit is the one limit.
# In CI the examples are the same in every run, so that a failure there is a change's own.
settings.register_profile(
    "bulkhead", database=None, deadline=None, derandomize=skips_are_forbidden()
)
settings.load_profile("bulkhead")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every test more time where that is asked for."""
    if FACTOR == 1:
        return
    for item in items:
        marker = item.get_closest_marker("timeout")
        seconds = float(marker.args[0] if marker else config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(patient(seconds)), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn an avoidable skip of a test into a failure where those are forbidden."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _forbid_avoidable_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself while it is collected."""
    report = yield
    _forbid_avoidable_skip(report)
    return report


def _forbid_avoidable_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome != "skipped" or not skips_are_forbidden():
        return
    reason = _reason(report.longrepr)
    if not reason.startswith(UNAVOIDABLE):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {reason}"


def _reason(longrepr: Any) -> str:
    """Why a report says that it was skipped: the last of path, line and reason."""
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return str(text).removeprefix("Skipped: ")
