"""What the boot laboratory's hosts are given: the shipped unit, users, keys, content in force."""

import json
import stat
from pathlib import Path

import pytest

from agent.lifecycle import State
from agent.supervisor.limits import LIMITS
from agent.supervisor.signature import TrustedKey
from agent.supervisor.store import Store
from cloud.signing import SigningKey
from lab.boot import guest, state
from lab.boot.patient import PATIENT, longer
from lab.boot.systemd import SENSOR
from lab.kernel_matrix.guest import environment
from lab.unchecked import build
from lab.vm.accelerator import TCG
from lab.vm.image import Disk
from lab.vm.kernel import Kernel
from lab.vm.machine import command_line
from scripts.machine.accounts import ACCOUNTS
from scripts.machine.service import unit

KERNEL = Kernel("bookworm", "6.1.0-1", Path("/kernels/vmlinuz-6.1.0-1"), ())
ROOT = Disk(Path("/images/root.ext4"), "/")
KEPT = Disk(Path("/images/state.ext4"), "/var/lib/bulkhead", kept=True)
IPC = 4


@pytest.fixture
def key() -> SigningKey:
    """One of this test's own."""
    return SigningKey.generate()


def opened(folder: Path, key: SigningKey) -> Store:
    """The store as the supervisor opens it, with nothing left out."""
    (folder / "key").write_bytes(key.trusted().public_pem())
    trusted = TrustedKey.from_file(folder / "key")
    store = Store(folder / "state")
    left_out = store.open(
        lambda file, payload: trusted.signed_channel_file(
            payload, bytes.fromhex(file.signatures[0].signature)
        )
    )
    assert left_out == []
    return store


def test_host_has_the_shipped_unit_enabled(tmp_path: Path, key: SigningKey) -> None:
    """Another unit than the one that people install would be measured, or none be started."""
    over = guest.put_over(tmp_path / "over", key, unchecked=False)
    units = over / "etc/systemd/system"
    assert (units / SENSOR).read_text(encoding="utf-8") == unit(environment())
    assert (units / "basic.target.wants" / SENSOR).readlink() == Path("/etc/systemd/system", SENSOR)
    assert (units / "multi-user.target.wants" / guest.WITNESS).is_symlink()
    assert "--roles" not in (over / "etc/bulkhead/agent").read_text(encoding="utf-8")


def test_unit_is_changed_only_where_processors_are_emulated(
    tmp_path: Path, key: SigningKey
) -> None:
    """What runs on real processors would not be what is shipped; emulated ones would not do."""
    place = f"etc/systemd/system/{SENSOR}.d/patience.conf"
    assert not (guest.put_over(tmp_path / "real", key, unchecked=False) / place).exists()
    over = guest.put_over(tmp_path / "emulated", key, unchecked=False, factor=10)
    lines = (over / place).read_text(encoding="utf-8").splitlines()
    assert lines[1] == "ExecStart="
    assert lines[2].endswith("-I -m lab.boot.patient 10 --json-log $BULKHEAD_ARGUMENTS")
    assert lines[3:] == ["TimeoutStartSec=1800s", "WatchdogSec=100s"]
    table = json.loads((over / "etc/bulkhead/roles.json").read_text(encoding="utf-8"))
    assert table == guest.EMULATED


def test_patience_is_of_limits_not_of_paces() -> None:
    """A slow host would be watched less often, or ended for its slowness."""
    slow = longer(LIMITS, 10)
    assert {name: getattr(slow, name) for name in PATIENT} == {
        name: getattr(LIMITS, name) * 10 for name in PATIENT
    }
    assert (slow.tick_seconds, slow.degraded_seconds) == (
        *(LIMITS.tick_seconds, LIMITS.degraded_seconds),
    )


def test_witness_is_an_ordinary_service() -> None:
    """It would show that it was started after the sensor because it asked for that itself."""
    lines = guest.WITNESS_UNIT.splitlines()
    words = ("After=", "Before=", "Requires=", "Wants=", "DefaultDependencies=")
    assert not [line for line in lines if line.startswith(words)]


def test_unchecked_host_may_trust_its_role_table(tmp_path: Path, key: SigningKey) -> None:
    """The sensor would refuse to start, or evaluate with the checked interpreter and never die."""
    over = guest.put_over(tmp_path / "over", key, unchecked=True)
    table = over / "etc/bulkhead/roles.json"
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    assert "--roles /etc/bulkhead/roles.json" in (over / "etc/bulkhead/agent").read_text()
    assert json.loads(table.read_text()) == {"evaluator": "lab.unchecked.evaluator"}
    library = over / build.library_path().relative_to("/")
    assert library.read_bytes() == build.library_path().read_bytes()
    folders = [over / folder for folder in library.relative_to(over).parents]
    assert all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)


def test_users_are_those_of_set_up() -> None:
    """A package's host would lack a user that a role runs under."""
    lines = guest.SYSUSERS.read_text(encoding="utf-8").splitlines()
    assert tuple(line.split()[1] for line in lines if line.startswith("u ")) == ACCOUNTS


def test_only_the_state_is_kept() -> None:
    """A power cut would spoil the images that all guests share, or lose the state."""
    given = guest.Given(KERNEL, (ROOT,), TCG, SigningKey.generate())
    subject = guest.host(given, Path("/over"), KEPT)
    line = command_line(subject, Path("/run/i.cpio"), Path("/run"))
    drives = [line[index + 1] for index, word in enumerate(line) if word == "-drive"]
    assert [drive.rpartition("snapshot=")[2] for drive in drives] == ["on", "off"]
    assert "trace_event=sched:sched_process_exec" in line[line.index("-append") + 1]
    assert subject.plan.init == guest.INIT


def test_power_is_cut_in_a_guest_that_only_updates() -> None:
    """Each cut would wait for systemd, or hit a guest that updates nothing."""
    given = guest.Given(KERNEL, (ROOT,), TCG, SigningKey.generate())
    plan = guest.updated(given, Path("/over"), KEPT, "--forget-fsync").plan
    assert plan.init == ""
    last = plan.command.splitlines()[-1]
    assert last.split()[-5:] == [
        *("lab.boot.updates", "/var/lib/bulkhead"),
        *("/etc/bulkhead/signing.key", "/etc/bulkhead/signing.pub", "--forget-fsync"),
    ]


def test_shipped_content_is_in_force(tmp_path: Path, key: SigningKey) -> None:
    """The sensor would protect with nothing, and no canary could be detected."""
    state.write_shipped(tmp_path / "state", key)
    store = opened(tmp_path, key)
    states = {file.state for file in store.manifest.active.values()}
    assert states == {State.ACCEPTED}
    assert len(store.manifest.active) == len(state.shipped())
    store.close()


def test_content_of_july_is_in_force_and_accepted(tmp_path: Path, key: SigningKey) -> None:
    """On probation it would be given up at the first death, which is the easier case."""
    state.write_with_july_2024(tmp_path / "state", key)
    store = opened(tmp_path, key)
    active, previous = store.manifest.active[IPC], store.manifest.previous[IPC]
    assert (active.version, active.state) == (state.JULY_VERSION, State.ACCEPTED)
    assert [file.version for file in previous] == [state.WILDCARDS_VERSION]
    assert len(store.manifest.active) == len(state.shipped())
    store.close()


def test_canary_is_known_to_the_content_that_updates_push() -> None:
    """Updates would be of content that means nothing."""
    file = state.process_content(7)
    assert file.version == 7
    assert "bulkhead-exec-canary" in [one.id for one in file.instances]
