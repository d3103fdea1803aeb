"""Every system call that a locked-down role may make, with the reason, in one place.

A call that is in none of the tables of a role's profile kills the role's process. `errno` in a
row turns the call into that error instead: for calls that libraries try and can do without.
Several rows for one call are alternatives; the conditions of one row must all hold.
"""

import errno
import mmap
import os
import signal
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

INT = 0xFFFFFFFF
"""Mask for an argument that the kernel reads as a 32-bit int; upper bits may be anything."""

POINTER = 0xFFFFFFFFFFFFFFFF

OWN_PROCESS = -1
"""Stands for the pid of the process that is locked down."""

FATAL_SIGNALS = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)
"""What abort sends, and faulthandler again once it has printed."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Argument number `argument` (from 0), masked, must equal `value`."""

    argument: int
    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class Call:
    """One permitted system call, and why; `errno` 0 permits it, else it only fails with that."""

    name: str
    reason: str
    conditions: tuple[Condition, ...] = ()
    errno: int = 0


def _plain(reasons: Mapping[str, str]) -> tuple[Call, ...]:
    return tuple(Call(name, reason) for name, reason in reasons.items())


def _one_of(name: str, argument: int, values: Mapping[int, str]) -> tuple[Call, ...]:
    return tuple(
        Call(name, reason, (Condition(argument, INT, value),)) for value, reason in values.items()
    )


def _fails(number: int, reasons: Mapping[str, str]) -> tuple[Call, ...]:
    return tuple(Call(name, reason, errno=number) for name, reason in reasons.items())


def names(calls: Iterable[Call]) -> frozenset[str]:
    """Names of the calls that are permitted in some form."""
    return frozenset(call.name for call in calls if not call.errno)


# From the kernel's headers; Python doesn't name them.
FIONBIO, FIOCLEX, FIONCLEX, TCGETS, FIONREAD = 0x5421, 0x5451, 0x5450, 0x5401, 0x541B
F_DUPFD_CLOEXEC, F_GET_SEALS = 1030, 1034
F_GETFD, F_SETFD, F_GETFL, F_SETFL = 1, 2, 3, 4
AT_EMPTY_PATH = 0x1000
PR_SET_NAME, PR_SET_VMA = 15, 0x53564D41
NETLINK_ROUTE = 0
THREAD_FLAGS = 0x00010000 | 0x00000800 | 0x00000100  # CLONE_THREAD, CLONE_SIGHAND, CLONE_VM
NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEW* for mount, cgroup, uts, ipc, user, pid, net
EXECUTABLE = Condition(2, mmap.PROT_EXEC, 0)
SHARED_OR_ANONYMOUS = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS

DESCRIPTORS = (
    *_plain(
        {
            "read": "pipes and eventfds that were handed over",
            "readv": "the same, in pieces",
            "write": "standard error",
            "writev": "the same, in pieces",
            "pread64": "a sealed memfd with a Channel File",
            "close": "descriptors that are no longer needed",
            "lseek": "Python's file objects ask where they stand",
            "fstat": "Python's file objects ask what a descriptor is",
            "poll": "waits for the channel with a time limit",
            "ppoll": "the same on architectures without poll",
            "epoll_create1": "waits for rings and channel at once, and selectors",
            "epoll_ctl": "names what is waited for",
            "epoll_wait": "waits for the channel and for a ring",
            "epoll_pwait": "waits, on architectures without epoll_wait",
            "select": "Python's time-outs on a socket",
            "pselect6": "the same on architectures without select",
            "recvmsg": "the channel, with descriptors",
            "recvfrom": "the channel",
            "sendmsg": "the channel, with descriptors",
            "getsockname": "Python wraps an inherited socket",
            "getsockopt": "Python wraps an inherited socket",
            "getpeername": "Python describes a socket, gRPC its peer",
            "shutdown": "an orderly end of the channel",
        }
    ),
    Call(
        "sendto", "the channel; no address, so only the connected peer", (Condition(4, POINTER, 0),)
    ),
    Call(
        "newfstatat",
        "glibc's fstat; the path can't be checked here, contents stay out of reach",
        (Condition(3, AT_EMPTY_PATH, AT_EMPTY_PATH),),
    ),
    *_one_of(
        "fcntl",
        1,
        {
            F_DUPFD_CLOEXEC: "Python's mmap keeps a descriptor of its own",
            F_GETFD: "is a descriptor inheritable",
            F_SETFD: "make it so, or not",
            F_GETFL: "is a socket blocking",
            F_SETFL: "make it so, or not",
            F_GET_SEALS: "is a Channel File sealed",
        },
    ),
    *_one_of(
        "ioctl",
        1,
        {
            FIONBIO: "Python's socket.setblocking",
            FIOCLEX: "Python's os.set_inheritable",
            FIONCLEX: "Python's os.set_inheritable",
            TCGETS: "Python's isatty",
        },
    ),
)

MEMORY = (
    *_plain(
        {
            "brk": "malloc",
            "munmap": "malloc; unmapping a ring",
            "mremap": "realloc of large blocks (numpy)",
            "madvise": "malloc and numpy on large blocks",
        }
    ),
    # Nothing becomes executable after lock-down, and no shared memory is made that
    # RLIMIT_DATA would not count.
    Call(
        "mmap",
        "a ring or memfd that was handed over",
        (EXECUTABLE, Condition(3, SHARED_OR_ANONYMOUS, mmap.MAP_SHARED)),
    ),
    Call("mmap", "malloc", (EXECUTABLE, Condition(3, SHARED_OR_ANONYMOUS, mmap.MAP_ANONYMOUS))),
    Call("mmap", "a private view of a memfd", (EXECUTABLE, Condition(3, SHARED_OR_ANONYMOUS, 0))),
    Call("mprotect", "malloc's further heaps", (EXECUTABLE,)),
)

TIME_AND_SIGNALS = (
    *_plain(
        {
            "clock_gettime": "the clock, where the kernel has no vDSO for it",
            "clock_getres": "Python's time.get_clock_info",
            "gettimeofday": "the clock, where the kernel has no vDSO for it",
            "time": "the clock, where the kernel has no vDSO for it",
            "clock_nanosleep": "waiting between two looks at a ring",
            "nanosleep": "the same in older C libraries",
            "rt_sigaction": "signal handlers; abort resets its own",
            "rt_sigprocmask": "signal handlers",
            "rt_sigreturn": "the end of a signal handler",
            "rt_sigtimedwait": "Python's signal.sigtimedwait",
            "sigaltstack": "faulthandler's stack",
            "restart_syscall": "the kernel resumes a wait after a stop",
            "exit": "the end of a thread",
            "exit_group": "the end of the process",
        }
    ),
    # None that stops a process: whoever is stopped was stopped by others (agent.death_facts).
    *(
        Call(
            "tgkill",
            "abort and raise, to this very process: SIGABRT must look like SIGABRT",
            (Condition(0, INT, OWN_PROCESS), Condition(2, INT, number)),
        )
        for number in FATAL_SIGNALS
    ),
)

PYTHON = (
    *_plain(
        {
            "futex": "Python's interpreter lock",
            "sched_yield": "Python's interpreter lock",
            "getrandom": "os.urandom, hash seeds",
            "getpid": "heartbeats, and abort asks for it",
            "gettid": "raise asks for it",
            "getppid": "is the supervisor still there",
            "getuid": "says who we are in reports",
            "geteuid": "the same",
            "getgid": "the same",
            "getegid": "the same",
            "getrusage": "memory and CPU in heartbeats",
            "sysinfo": "qsort asks how much memory there is",
            "sched_getaffinity": "libraries ask how many processors they may use",
        }
    ),
    Call(
        "prlimit64",
        "reads a limit of its own; setting is not permitted",
        (Condition(0, INT, 0), Condition(2, POINTER, 0)),
    ),
    *_one_of(
        "prctl",
        0,
        {PR_SET_NAME: "the name of a thread", PR_SET_VMA: "the name of a piece of memory"},
    ),
    *_fails(
        errno.ENOSYS,
        {
            "clone3": "glibc then tries clone, whose flags can be checked",
            "statx": "libraries then use fstat",
            "membarrier": "libraries do without",
        },
    ),
)

EVERY_ROLE = (*DESCRIPTORS, *MEMORY, *TIME_AND_SIGNALS, *PYTHON)

THREADS = (
    Call(
        "clone",
        "a thread; no process, no namespace",
        (Condition(0, THREAD_FLAGS | NAMESPACE_FLAGS, THREAD_FLAGS),),
    ),
    Call("set_robust_list", "glibc starts a thread"),
    Call("rseq", "glibc starts a thread, and aborts where the main thread had it and this can't"),
)

STATE_FOLDER = (
    *_fails(errno.EPERM, {"fchown": "SQLite as root gives its journal the owner of its database"}),
    *_plain(
        {
            "openat": "the state folder and the resolver's files; Landlock denies all others",
            "open": "the same in older C libraries",
            "newfstatat": "SQLite looks for its files",
            "stat": "the same in older C libraries",
            "lstat": "the same in older C libraries",
            "access": "SQLite looks for its files",
            "faccessat": "the same on architectures without access",
            "faccessat2": "the same, newer",
            "getcwd": "SQLite makes its path absolute",
            "readlink": "SQLite resolves its path",
            "readlinkat": "the same on architectures without readlink",
            "getdents64": "lists the state folder",
            "pwrite64": "SQLite's pages",
            "fsync": "SQLite's durability",
            "fdatasync": "SQLite's durability",
            "ftruncate": "SQLite's journal; memfds for content",
            "fallocate": "SQLite enlarges its file",
            "unlink": "SQLite's journal",
            "unlinkat": "the same on architectures without unlink",
            "rename": "files are replaced by rename",
            "renameat": "the same on architectures without rename",
            "umask": "SQLite opens its files",
            "fchmod": "SQLite gives its journal the mode of its database",
            "utimensat": "SQLite's lock files",
            "fcntl": "SQLite's locks; seals on memfds",
            "memfd_create": "content on its way to the supervisor",
            "flock": "lock files of the state folder",
            "dup": "Python's file objects",
        }
    ),
)

NO_CACHE_DAEMON = (
    Call(
        "socket",
        "the C library looks for a cache daemon of names and users, and does without",
        (Condition(0, INT, socket.AF_UNIX),),
        errno.EACCES,
    ),
)

NETWORK_CLIENT = (
    *_one_of(
        "socket",
        0,
        {socket.AF_INET: "gRPC and the resolver", socket.AF_INET6: "gRPC and the resolver"},
    ),
    Call(
        "socket",
        "the resolver asks which addresses this host has",
        (Condition(0, INT, socket.AF_NETLINK), Condition(2, INT, NETLINK_ROUTE)),
    ),
    *NO_CACHE_DAEMON,
    Call("ioctl", "the resolver asks how long an answer is", (Condition(1, INT, FIONREAD),)),
    Call("socketpair", "wakes an event loop", (Condition(0, INT, socket.AF_UNIX),)),
    *_plain(
        {
            "connect": "gRPC and the resolver; Landlock limits the TCP ports",
            "bind": "the resolver's netlink socket; gRPC finds out whether there is IPv6",
            "setsockopt": "gRPC tunes its connections",
            "sendto": "the resolver",
            "sendmmsg": "the resolver asks for both address families at once",
            "eventfd2": "gRPC wakes its threads",
            "uname": "gRPC names its platform; the resolver's own host name",
            "sched_getparam": "gRPC's threads ask for the normal class",
            "sched_getscheduler": "gRPC's threads ask for the normal class",
        }
    ),
)

BPF_PROG_TEST_RUN = 10
RUN_PROGRAM = _one_of("bpf", 0, {BPF_PROG_TEST_RUN: "runs a program that was loaded before"})

WRITING_FLAGS = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND
READ_FILES = (
    *NO_CACHE_DAEMON,
    Call("openat", "/proc, to read and never to write", (Condition(2, WRITING_FLAGS, 0),)),
    Call("open", "the same in older C libraries", (Condition(1, WRITING_FLAGS, 0),)),
    *_plain(
        {
            "newfstatat": "psutil looks for processes",
            "stat": "the same in older C libraries",
            "lstat": "the same in older C libraries",
            "access": "psutil looks for files",
            "faccessat": "the same on architectures without access",
            "faccessat2": "the same, newer",
            "getdents64": "lists processes",
            "readlink": "/proc/PID/exe",
            "readlinkat": "the same on architectures without readlink",
            "getpriority": "psutil's process facts",
            "uname": "names the platform",
        }
    ),
    Call("kill", "asks whether a process is there; sends nothing", (Condition(1, INT, 0),)),
)
