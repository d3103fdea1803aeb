"""The systemd unit says what the code needs and what docs/service.md promises."""

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.privileges import COLLECTOR, SUPERVISOR_OWN
from scripts.machine.service import TEMPLATE, USAGE, main, unit

ENVIRONMENT = Path("/opt/bulkhead/environment")


def lines() -> list[str]:
    """What the unit says, without its comments."""
    return [line for line in unit(ENVIRONMENT).splitlines() if not line.startswith("#")]


def test_bounding_set_is_what_the_roles_need() -> None:
    """A role would lack a right as a service only, or have one that nobody needs."""
    (line,) = [line for line in lines() if line.startswith("CapabilityBoundingSet=")]
    expected = {f"CAP_{one.name}" for one in SUPERVISOR_OWN | COLLECTOR}
    assert set(line.split("=")[1].split()) == expected


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "RestartPreventExitStatus=2",
        "WatchdogSec=10s",
        "OOMPolicy=continue",
        "DefaultDependencies=no",
        "Before=basic.target shutdown.target",
        "TimeoutStartSec=3min",
        f"ExecStart={ENVIRONMENT}/bin/python -I -m agent.supervisor --json-log $BULKHEAD_ARGUMENTS",
    ],
)
def test_promise_is_in_the_unit(line: str) -> None:
    """The host would be given up after a few deaths, or its sensor start late."""
    assert line in lines()


def test_no_new_privileges_is_not_set() -> None:
    """The collector could not attach anything: it needs rights that the supervisor gave up."""
    assert not [line for line in lines() if line.startswith("NoNewPrivileges")]


def test_systemd_understands_it(tmp_path: Path) -> None:
    """Systemd would ignore a misspelt line, and with it what it promises."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze (Debian's systemd)")
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to("/bin/true")
    written = tmp_path / TEMPLATE.name
    written.write_text(unit(environment), encoding="utf-8")
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(written)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_wrong_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped word would do nothing, or something else."""
    assert main(["instal"]) == 2
    assert capsys.readouterr().err.strip() == USAGE
