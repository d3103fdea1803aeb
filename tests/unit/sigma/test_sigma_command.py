"""`bulkhead content import-sigma`: what is written, what is printed, with which exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.content import application
from cli.output import ExitCode
from content.checking import check
from content.model import Disposition
from content.template_type import Rung
from tests.unit.sigma.examples import TYPES, selecting

GOOD = selecting("Image|endswith: /evil\nCommandLine|contains: ' -e '")
GOOD += "author: Ada [Lovelace]\ntags: [attack.execution, attack.t1059.004]\nstatus: test\n"
OTHER = selecting("Image: /bin/other").replace("3f2c1a00", "aaaaaaaa") + "license: MIT\n"
BAD = selecting("IntegrityLevel: '[red]/tmp'").replace("3f2c1a00", "bbbbbbbb")
IDENTITY = "somebody-looks-around-3f2c1a00"


def run(*arguments: object) -> Result:
    """The outcome of the command."""
    return CliRunner().invoke(application, ["import-sigma", *map(str, arguments)])


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder of two good rules and a bad one, one of them further down."""
    folder = tmp_path / "rules"
    (folder / "below").mkdir(parents=True)
    (folder / "good.yml").write_text(GOOD)
    (folder / "below" / "other.yaml").write_text(OTHER)
    (folder / "bad.yml").write_text(BAD)
    (folder / "README.md").write_text("no rule")
    return folder


def test_what_is_converted_is_written(rules: Path, tmp_path: Path) -> None:
    """Files would be missing, refused ones half there, or the summary wrong."""
    output = tmp_path / "out" / "deep"
    result = run(rules, "--output", output)
    assert result.exit_code == ExitCode.REFUSED
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        f"{rules}/bad.yml:9:9: SIGMA_FIELD_NOT_SUPPLIED detection: found IntegrityLevel, expected"
    )
    assert lines[1:] == [
        f"converted 2 of 3 into {output}",
        "  refused 1: SIGMA_FIELD_NOT_SUPPLIED",
    ]
    assert sorted(path.name for path in output.iterdir()) == [
        "somebody-looks-around-3f2c1a00.yaml",
        "somebody-looks-around-aaaaaaaa.yaml",
    ]
    checked = check([output], TYPES, Rung.BPF_BTF)
    assert (checked.problems, checked.instances) == ((), 2)
    instances = {one.instance.id: one.instance for file in checked.authored for one in file.sources}
    instance = instances[IDENTITY]
    assert (instance.author, instance.license) == ("Ada [Lovelace]", "DRL-1.1")
    assert instance.source == "sigma:3f2c1a00-1111-4222-8333-444455556666"
    assert instance.attack_techniques == ("T1059.004",)
    assert instance.disposition is Disposition.DETECT
    assert instances["somebody-looks-around-aaaaaaaa"].license == "MIT"
    text = (output / f"{IDENTITY}.yaml").read_text(encoding="utf-8")
    assert "# status: test\n" in text
    assert "# tags: attack.execution attack.t1059.004\n" in text


def test_json(rules: Path, tmp_path: Path) -> None:
    """A program could not tell what was refused and why."""
    result = run(rules, "--output", tmp_path / "out", "--json")
    assert result.exit_code == ExitCode.REFUSED
    document = json.loads(result.stdout)
    assert document["rules"] == 3
    assert [one["id"][-8:] for one in document["converted"]] == ["aaaaaaaa", "3f2c1a00"]
    assert document["converted"][1]["file"] == str(tmp_path / "out" / f"{IDENTITY}.yaml")
    assert document["refused_by_reason"] == {"SIGMA_FIELD_NOT_SUPPLIED": 1}
    (refused,) = document["refused"]
    assert (refused["line"], refused["column"]) == (9, 9)
    assert refused["title"] == "Somebody looks around"


def test_importing_again_replaces(rules: Path, tmp_path: Path) -> None:
    """A corrected rule would stand beside its old version."""
    output = tmp_path / "out"
    good = rules / "good.yml"
    assert run(good, "--output", output).exit_code == ExitCode.OK
    good.write_text(GOOD.replace("/evil", "/worse"))
    arguments = ("--disposition", "observe", "--license", "CC0-1.0")
    assert run(good, good, "--output", output, *arguments).exit_code == ExitCode.OK
    (path,) = output.iterdir()
    text = path.read_text(encoding="utf-8")
    assert "/worse" in text
    assert "/evil" not in text
    assert "disposition: observe\n" in text
    assert "license: CC0-1.0\n" in text


def test_the_rung_decides_what_is_supplied(tmp_path: Path) -> None:
    """A rule would be converted for sensors that can never match it."""
    path = tmp_path / "file.yml"
    path.write_text(selecting("TargetFilename: /etc/shadow", "file_event"))
    result = run(path, "--output", tmp_path / "out", "--rung", "psutil", "--json")
    assert json.loads(result.stdout)["refused_by_reason"] == {"TEMPLATE_TYPE_NOT_SUPPLIED": 1}
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_mistakes_of_use(tmp_path: Path, as_json: tuple[str, ...]) -> None:
    """A user would see a traceback."""
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty", "--output", tmp_path / "out", *as_json)
    assert result.exit_code == ExitCode.REFUSED
    assert "EMPTY_FILE" in result.stderr
    (tmp_path / "rule.yml").write_text(GOOD)
    inside = tmp_path / "rule.yml" / "out"
    result = run(tmp_path / "rule.yml", "--output", inside, *as_json)
    assert result.exit_code == ExitCode.REFUSED
    assert "FILE_NOT_ACCESSIBLE" in result.stderr
    assert run(tmp_path / "nowhere", "--output", tmp_path).exit_code == ExitCode.USAGE


def test_without_pysigma(tmp_path: Path) -> None:
    """A user without the extra would see a traceback, or other commands would fail too."""
    (tmp_path / "rule.yml").write_text(GOOD)
    program = (
        "import sys; sys.modules['sigma'] = None; from cli.main import main; "
        "sys.argv = ['bulkhead', *sys.argv[1:]]; main()"
    )
    command = [sys.executable, "-c", program, "content"]
    found = subprocess.run(
        [*command, "import-sigma", str(tmp_path / "rule.yml"), "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == ExitCode.PREREQUISITE_MISSING
    assert found.stderr.startswith("error SIGMA_EXTRA_MISSING: pySigma is missing")
    assert "bulkhead[sigma]" in found.stderr
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False)
    assert helped.returncode == ExitCode.OK
