"""The step from the supervisor into a role: what the executed program really has."""

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from agent.linux import Capability, capabilities, capability_mask
from agent.privileges import COLLECTOR_BPF, SUPERVISOR_OWN
from tests.process import locked

NOBODY_IDS = (65534, 65534)

# A supervisor that becomes something in a child and executes cat there.
STEP = """
import os, sys
from agent import privileges
from agent.linux import Capability
inherited = os.open("/dev/null", os.O_RDONLY)
os.set_inheritable(inherited, True)
handed = os.open("/dev/zero", os.O_RDONLY)
{supervisor}
child = os.fork()
if child == 0:
    try:
        privileges.become({uid}, {gid}, descriptors=(0, 1, 2, handed), keep={keep},
                          supervisor=os.getppid())
        program = ("import os; print(open('/proc/self/status').read(), 'Open:',"
                   " *sorted(map(os.readlink, {{f'/proc/self/fd/{{n}}' for n in range(3, 30)"
                   " if os.path.exists(f'/proc/self/fd/{{n}}')}})))")
        os.execv({python!r}, ["python3", "-I", "-S", "-c", program])
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        os._exit(9)
print("Child:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def _become(uid: int, gid: int, *, keep: str = "()", supervisor: str = "") -> Mapping[str, str]:
    """What /proc/self/status says in the program that a role of this kind executes."""
    program = STEP.format(
        uid=uid, gid=gid, keep=keep, supervisor=supervisor, python=os.path.realpath(sys.executable)
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, timeout=20, check=True
    )
    lines = ended.stdout.decode().splitlines()
    facts = {name.strip(): rest.strip() for name, _, rest in (x.partition(":") for x in lines)}
    assert facts["Child"] == "0", ended.stderr.decode()
    return facts


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


@needs_root
def test_another_user_has_nothing() -> None:
    """A role would start with rights of the supervisor."""
    facts = _become(*NOBODY_IDS)
    assert facts["Uid"].split() == facts["Gid"].split() == ["65534"] * 4
    assert facts["Groups"] == ""
    sets = {facts[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert sets == {"0" * 16}
    assert (facts["NoNewPrivs"], facts["Umask"]) == ("1", "0077")


@needs_root
def test_only_named_descriptors_are_left() -> None:
    """A ring, a key or a channel of another role could leak into a role."""
    assert _become(*NOBODY_IDS)["Open"] == "/dev/zero"


def test_without_root_the_user_stays() -> None:
    """The sensor could not run without root, or would keep what it doesn't need."""
    if os.geteuid() == 0:
        facts = _become(
            1, 1, supervisor="os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)"
        )
    else:
        facts = _become(1, 1)
    assert facts["Uid"].split()[0] == str(os.geteuid() or NOBODY_IDS[0])
    assert (facts["CapPrm"], facts["NoNewPrivs"]) == ("0" * 16, "1")


@needs_root
def test_the_collector_has_what_it_needs_and_no_more() -> None:
    """The collector could not load BPF, or could do anything on the host; and so the supervisor."""
    facts = _become(
        0,
        0,
        keep="privileges.COLLECTOR_BPF",
        supervisor="privileges.supervisor_capabilities()",
    )
    wanted = capability_mask(COLLECTOR_BPF) & capabilities().permitted
    assert wanted & 1 << Capability.SYS_ADMIN
    assert [int(facts[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")] == [wanted] * 3


@needs_root
def test_the_supervisor_keeps_few() -> None:
    """A supervisor with all of root's capabilities gains nothing from being small."""
    program = (
        "from agent import privileges; from agent.linux import capabilities;"
        "privileges.supervisor_capabilities(); s = capabilities();"
        "print(s.effective, s.permitted, s.inheritable)"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, timeout=20, check=True
    )
    wanted = capability_mask(SUPERVISOR_OWN) & capabilities().permitted
    assert ended.stdout.decode().split() == [str(wanted), str(wanted), "0"]


@needs_root
def test_a_role_dies_with_its_supervisor() -> None:
    """An evaluator that nobody watches would go on for ever."""
    program = (
        "import os, signal, time\nfrom agent import privileges\n"
        "reading, writing = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    privileges.become(65534, 65534, descriptors=(0, 1, 2, writing))\n"
        "    print(os.getpid(), flush=True); os.write(writing, b'x'); time.sleep(60)\n"
        "os.close(writing); os.read(reading, 1); os.kill(os.getpid(), signal.SIGKILL)"
    )
    # The output ends when the last process that can write to it is gone.
    ended = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, timeout=20, check=False
    )
    assert locked.how(ended.returncode) == "SIGKILL"
    assert ended.stdout.strip().isdigit()


def test_an_orphan_is_noticed() -> None:
    """A supervisor that died before the death signal was armed would leave a role behind."""
    program = "from agent import privileges; privileges.become(1, 1, supervisor=2**22)"
    if os.geteuid() == 0:
        program = program.replace("1, 1", "65534, 65534")
    ended = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, timeout=20, check=False
    )
    assert b"ProcessLookupError: supervisor 4194304 died" in ended.stderr
