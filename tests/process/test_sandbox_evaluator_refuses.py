"""What the evaluator can no longer do: each attempt is a process of its own and ends it."""

import os
import signal
import subprocess
import sys

import pytest

from tests.process import locked

IN_PYTHON = {
    "open a file": "open('/etc/hostname')",
    "open a file for writing": "open('/dev/null', 'w')",
    "look at a file": "os.stat('/etc/hostname')",
    "list a folder": "os.listdir('/')",
    "delete a file": "os.unlink('/nonexistent')",
    "internet socket": "socket.socket(socket.AF_INET)",
    "unix socket": "socket.socket(socket.AF_UNIX)",
    "socket pair": "socket.socketpair()",
    "fork": "os.fork()",
    "thread": "import threading; threading.Thread(target=print).start()",
    "exec": "os.execv('/bin/true', ['true'])",
    "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "signal to the parent": "os.kill(os.getppid(), signal.SIGKILL)",
    "signal to its group": "os.killpg(0, signal.SIGTERM)",
    "executable memory": "mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_EXEC)",
    "uncounted memory": "mmap.mmap(-1, 4096)",
    "raise a limit": "resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))",
    "undumpable no more": "prctl(4, 1)",
    "write to an address": "inherited.sendto(b'x', ('127.0.0.1', 9))",
}

BY_NAME = (
    "bpf",
    "capset",
    "chroot",
    "connect",
    "execveat",
    "finit_module",
    "init_module",
    "io_uring_setup",
    "kexec_load",
    "keyctl",
    "landlock_create_ruleset",
    "memfd_create",
    "mount",
    "openat2",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "rt_sigqueueinfo",
    "seccomp",
    "setns",
    "setresuid",
    "shmget",
    "tkill",
    "unshare",
    "userfaultfd",
)


@pytest.mark.parametrize("attempt", IN_PYTHON)
def test_attempt_ends_the_process(attempt: str) -> None:
    """Content that takes over the evaluator could reach the host this way."""
    ended = locked.run(
        "EVALUATOR",
        f"print('locked', flush=True)\n{IN_PYTHON[attempt]}\nprint('survived')",
        before="import resource, threading; inherited = socket.socket(type=socket.SOCK_DGRAM)",
    )
    assert (ended.how, ended.output) == ("SIGSYS", "locked\n")


@pytest.mark.parametrize("call", BY_NAME)
def test_call_ends_the_process(call: str) -> None:
    """A system call that nobody needs would be a way out of the sandbox."""
    ended = locked.run(
        "EVALUATOR",
        "print('locked', flush=True)\nsystem_call('attempt', number, 0, 0, 0, 0)",
        before=f"import seccomp; number = seccomp.resolve_syscall(seccomp.Arch(), '{call}')",
    )
    assert (ended.how, ended.output) == ("SIGSYS", "locked\n"), ended.errors


def test_another_process_cannot_be_signalled() -> None:
    """A call that is permitted for abort, tgkill, must reach nobody else."""
    victim = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(30)"])
    try:
        ended = locked.run(
            "EVALUATOR",
            f"system_call('tgkill', number, {victim.pid}, {victim.pid}, signal.SIGKILL)",
            before="import seccomp; number = seccomp.resolve_syscall(seccomp.Arch(), 'tgkill')",
        )
        assert ended.how == "SIGSYS"
        assert victim.poll() is None
    finally:
        victim.kill()
        assert victim.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize("number", ["SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"])
def test_a_role_cannot_stop_itself(number: str) -> None:
    """It would be taken for the victim of somebody else's signal, again and again."""
    ended = locked.run("EVALUATOR", f"signal.raise_signal(signal.{number})\nprint('went on')")
    assert (ended.how, ended.output) == ("SIGSYS", ""), ended.errors


def test_memory_cannot_become_executable() -> None:
    """Code that was smuggled in as data could be run."""
    ended = locked.run(
        "EVALUATOR",
        "libc.mprotect(address, 4096, mmap.PROT_READ | mmap.PROT_EXEC)\nprint('survived')",
        before=(
            "libc = ctypes.CDLL(None)\n"
            "libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]\n"
            "area = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE)\n"
            "address = ctypes.addressof(ctypes.c_char.from_buffer(area))"
        ),
    )
    assert (ended.how, ended.output) == ("SIGSYS", "")


def test_clone3_only_fails() -> None:
    """Libraries try clone3 first; killing for the attempt would kill for what is permitted."""
    ended = locked.run(
        "EVALUATOR",
        "try:\n    system_call('clone3', 435, 0, 0)\n"
        "except OSError as error:\n    print(errno.errorcode[error.errno])",
    )
    assert (ended.how, ended.output) == ("exit 0", "ENOSYS\n")


def test_other_threads_are_refused() -> None:
    """Landlock and capabilities would not hold for a thread that was there before."""
    ended = locked.run(
        "EVALUATOR",
        "print('locked')",
        before=(
            "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
        ),
    )
    assert (ended.how, ended.output) == ("exit 1", "")
    assert "SandboxError: 2 threads are running, expected 1" in ended.errors


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
@pytest.mark.parametrize("attempt", ["open a file", "internet socket", "fork", "exec"])
def test_attempt_of_a_plain_user_ends_the_process(attempt: str) -> None:
    """Without root, the sandbox must hold as well."""
    locked.require_other_user()
    ended = locked.run("EVALUATOR", IN_PYTHON[attempt], user=locked.NOBODY)
    assert ended.how == "SIGSYS"
