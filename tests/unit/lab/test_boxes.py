"""What boxes are made from, and how the Vagrantfile learns of them."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.boxes import model, pack, registry, wheels
from lab.boxes.model import CHECKOUT, TABLE
from lab.boxes.pack import Packed
from lab.vm import cache
from lab.vm.accelerator import KVM, TCG
from lab.vm.probe import Choice
from scripts.machine import libvirt
from tests import needs

VAGRANT = CHECKOUT / "vagrant"


def test_hosts_and_boxes_fit_together() -> None:
    """A host would name a box that nobody makes, or share its address with another."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    hosts = [table["cloud"], *table["targets"]]
    assert {host["box"] for host in hosts} == set(model.boxes())
    assert len({host["address"] for host in hosts}) == len(hosts)
    assert len({host["name"] for host in hosts}) == len(hosts)


def test_a_box_with_anothers_kernel_says_so_in_its_name() -> None:
    """A host would be taken for a Debian that it is not."""
    mixed = [box.name for box in model.boxes().values() if box.kernel != box.user_space]
    assert mixed == ["debian-11-kernel"]
    assert "Debian 12" in model.boxes()["debian-11-kernel"].title


def test_every_user_space_has_an_interpreter_that_carries_the_sensor() -> None:
    """A box would be built whose set-up then refuses to go on."""
    for box in model.boxes().values():
        major, minor = wheels.PYTHONS[box.user_space].split(".")
        assert (int(major), int(minor)) >= (3, 11)


def test_a_box_says_what_it_was_made_from() -> None:
    """Nobody could tell which kernel and packages a measurement was taken on."""
    box = model.boxes()["debian-12"]
    told = pack.metadata(box, "6.1.0-1-cloud-amd64", "bash\t5.2\nudev\t252\n")
    assert told["provider"] == "libvirt"
    assert told["format"] == "qcow2"
    made_from = told["bulkhead"]
    assert isinstance(made_from, dict)
    assert made_from["kernel_version"] == "6.1.0-1-cloud-amd64"
    assert made_from["packages"] == {"bash": "5.2", "udev": "252"}
    assert made_from["locks"] == cache.digest(wheels.locks_text())


def test_wheels_are_locked_by_hash_and_never_built(tmp_path: Path) -> None:
    """A box would hold packages that nobody has reviewed, or code run while one was built."""
    command = wheels.command("3.13", [tmp_path / "runtime.lock"], tmp_path)
    assert "--require-hashes" in command
    assert "--only-binary=:all:" in command
    assert command[command.index("--python-version") + 1] == "3.13"
    assert "cp313" in command


LOCK = """# made by uv
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aa
    # via runtime
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:bb
uv==0.9 \\
    --hash=sha256:cc
"""


def test_a_lock_says_what_the_boxs_interpreter_needs() -> None:
    """Packages for this machine's interpreter would be fetched for another one."""
    assert wheels.lock_for("3.13", LOCK).split() == (
        "# made by uv numpy==2.5.5 \\ --hash=sha256:bb uv==0.9 \\ --hash=sha256:cc".split()
    )
    assert "numpy==2.4.6 " in wheels.lock_for("3.11", LOCK)
    assert "numpy==2.5.5 " not in wheels.lock_for("3.11", LOCK)


def validated(vagrantfile_folder: Path, home: Path, **variables: str) -> tuple[int, str]:
    """Exit status and words of `vagrant validate`."""
    needs.require_vagrant()
    ended = subprocess.run(
        ["vagrant", "validate"],
        check=False,
        cwd=vagrantfile_folder,
        env={**os.environ, "VAGRANT_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=50,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture
def vagrant_folder(tmp_path: Path) -> Path:
    """A copy of the folder in a checkout that has no boxes, with a libvirt that serves."""
    checkout = tmp_path / "checkout"
    shutil.copytree(VAGRANT, checkout / "vagrant", ignore=shutil.ignore_patterns(".vagrant"))
    serve = checkout / "scripts" / "libvirt"
    serve.parent.mkdir()
    serve.write_text("#!/bin/sh\n", encoding="ascii")
    serve.chmod(0o755)
    return checkout / "vagrant"


def test_the_vagrantfile_is_valid_with_boxes_of_the_catalogue(tmp_path: Path) -> None:
    """`vagrant up` would stop at an error in the file."""
    status, words = validated(VAGRANT, tmp_path, BULKHEAD_BOXES="catalogue")
    assert status == 0, words


@pytest.mark.parametrize("choice", [Choice(KVM, "it works"), Choice(TCG, "it does not")])
def test_the_vagrantfile_is_valid_with_boxes_of_ours(
    choice: Choice, vagrant_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `make boxes` tells the Vagrantfile would be something else than what it reads."""
    checkout = vagrant_folder.parent
    monkeypatch.setattr(registry, "require_pool", lambda _name, _folder: None)
    monkeypatch.setattr(libvirt, "images", lambda _checkout: checkout)
    (checkout / registry.BOOT).mkdir()
    made = []
    for box in model.boxes().values():
        one = Packed(box, "0", "6.1", checkout)
        for path in (one.image, one.initramfs):
            path.write_bytes(b"")
        made.append(one)
    (checkout / "build").mkdir()
    registry.write(made, choice, checkout / "build" / registry.PATH.name)
    status, words = validated(vagrant_folder, checkout / "home", BULKHEAD_BOXES="")
    assert status == 0, words


def test_without_boxes_the_vagrantfile_says_what_to_do(vagrant_folder: Path) -> None:
    """A newcomer would get a traceback of Ruby, or hosts of nobody's boxes."""
    status, words = validated(vagrant_folder, vagrant_folder / "home", BULKHEAD_BOXES="")
    assert status != 0
    assert "BOXES_MISSING" in words
    assert "make boxes" in words


@pytest.mark.parametrize("name", ["nothing", "debian-11"])
def test_an_unknown_box_is_refused(name: str) -> None:
    """A misspelled name would make nothing and look like success."""
    ended = subprocess.run(
        [CHECKOUT / ".venv" / "bin" / "python", "-m", "lab.boxes", name],
        check=False,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "BOX_UNKNOWN" in ended.stderr
