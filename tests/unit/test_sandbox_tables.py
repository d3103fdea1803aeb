"""The tables of the sandbox: what every profile leaves out, and that each row says why."""

from pathlib import Path

import pytest

from agent.sandbox import COLLECTOR_CONNECTOR, COLLECTOR_PSUTIL, EVALUATOR, LINK, Profile
from agent.sandbox.syscalls import names

PROFILES = (EVALUATOR, LINK, COLLECTOR_PSUTIL, COLLECTOR_CONNECTOR)
by_name = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: str(profile.name))

NOBODY_NEEDS = frozenset(
    "accept accept4 add_key adjtimex bpf capset chdir chmod chown chroot clock_settime "
    "delete_module execve execveat finit_module fork fsconfig fsmount init_module io_uring_enter "
    "io_uring_setup ioperm iopl kexec_file_load kexec_load keyctl link linkat listen mknod mknodat "
    "mount move_mount name_to_handle_at open_by_handle_at open_tree openat2 perf_event_open "
    "personality pidfd_getfd pidfd_open pidfd_send_signal pivot_root process_madvise "
    "process_vm_readv process_vm_writev ptrace quotactl reboot request_key rt_sigqueueinfo "
    "rt_tgsigqueueinfo seccomp setdomainname setgid setgroups sethostname setns setregid setresgid "
    "setresuid setreuid setrlimit setsid setuid shmget swapon symlink symlinkat sysfs syslog tkill "
    "umount2 unshare userfaultfd vfork".split()
)

EVALUATOR_NEEDS_NOT = frozenset(
    "access bind clone connect dup2 eventfd2 execve getdents64 inotify_init1 kill memfd_create "
    "open openat pipe2 readlink readlinkat socket socketpair unlink unlinkat rename mkdir "
    "ftruncate pwrite64 stat lstat statx getcwd".split()
)


@by_name
def test_nobody_may_leave_the_sandbox(profile: Profile) -> None:
    """A call that undoes the sandbox would have slipped into a table."""
    assert not names(profile.calls) & NOBODY_NEEDS


def test_the_evaluator_has_no_file_network_or_process() -> None:
    """Content would be interpreted with a way out."""
    assert not names(EVALUATOR.calls) & EVALUATOR_NEEDS_NOT


@by_name
def test_every_row_says_why(profile: Profile) -> None:
    """A row without a reason is one that nobody dares to remove."""
    assert all(len(call.reason) > len("malloc") - 1 for call in profile.calls)


@by_name
def test_no_row_is_there_twice(profile: Profile) -> None:
    """Two rows for the same thing: one of the reasons is wrong."""
    rows = [(call.name, call.conditions) for call in profile.calls]
    assert len(rows) == len(set(rows))


@by_name
def test_sensitive_calls_are_permitted_only_under_conditions(profile: Profile) -> None:
    """Executable memory, foreign signals or namespaces would be possible."""
    unconditional = names(call for call in profile.calls if not call.conditions)
    assert not unconditional & {
        "clone",
        "ioctl",
        "kill",
        "mmap",
        "mprotect",
        "prctl",
        "prlimit64",
        "socket",
        "tgkill",
    }


def test_a_link_with_state_adds_to_the_shipped_profile() -> None:
    """The link's folder and ports would replace the resolver's."""
    profile = LINK.with_state(Path("/var/lib/bulkhead/link"), [7443])
    assert profile.writable == (Path("/var/lib/bulkhead/link"),)
    assert set(profile.connect_ports) == {*LINK.connect_ports, 7443}
    assert profile.readable == LINK.readable
    assert not LINK.writable
