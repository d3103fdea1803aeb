"""docs/authoring.md: its instance is good, and each command that it shows exists."""

import re
from pathlib import Path

from typer.testing import CliRunner

from cli.agent import application as agent_application
from cli.content import application as content_application
from content.checking import check
from content.template_type import Rung
from tests.unit.content.examples import TYPES

GUIDE = Path(__file__).parents[3] / "docs" / "authoring.md"


def test_the_instance_is_accepted(tmp_path: Path) -> None:
    """A newcomer's first copy from the guide would be refused."""
    (written,) = re.findall(r"```yaml\n(id:.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "a.yaml").write_text(written)
    assert check([tmp_path], TYPES, Rung.BPF_BTF).problems == ()
    corrected = written.replace("contains, values: [sh]", "starts_with, values: [/dev/shm/]")
    assert corrected != written
    (tmp_path / "a.yaml").write_text(corrected)
    assert check([tmp_path], TYPES, Rung.BPF_BTF).problems == ()


def test_its_commands_exist() -> None:
    """A newcomer would type what is not there."""
    shown = re.findall(r"^\$ (?:sudo )?bulkhead (\w+) ([\w-]+)", GUIDE.read_text(), re.MULTILINE)
    assert {"new", "check", "test", "explain", "diff", "pack"} <= {name for _, name in shown}
    for group, name in shown:
        if group == "cloud":
            continue  # its own guide's
        application = {"agent": agent_application, "content": content_application}[group]
        assert CliRunner().invoke(application, [name, "--help"]).exit_code == 0, name
