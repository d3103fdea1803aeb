"""What a test needs of its machine, and what happens where that is missing.

A test calls one of the `require_*` functions first. Where the machine lacks it, the test is skipped
with a reason. In CI (CI=true, or BULKHEAD_FORBID_SKIPS=1) a skip fails instead, because CI has
everything that set-up can install; only what no set-up can bring (`skip_unavoidable`) may be
skipped there. tests/conftest.py sees to that for every skip, however it was made.
"""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
UNAVOIDABLE = "this machine can't have it: "
"""How the reason of a skip begins that is allowed everywhere."""

TRACEFS_PLACES = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
KERNEL_BTF = Path("/sys/kernel/btf/vmlinux")
BPF_RINGBUF_KERNEL = (5, 8)


def skips_are_forbidden() -> bool:
    """Whether an avoidable skip fails."""
    return os.environ.get("BULKHEAD_FORBID_SKIPS") == "1" or os.environ.get("CI") == "true"


def skip_unavoidable(reason: str) -> NoReturn:
    """Skip for something that set-up can't bring: hardware, another kernel, outside material."""
    pytest.skip(UNAVOIDABLE + reason)


def require_root() -> None:
    """Root: probes, other uids, capabilities."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


def require_command(name: str, package: str) -> str:
    """A command and the Debian package that has it; returns its path."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs the command {name} (Debian package {package})")
    return path


def require_postgresql() -> Path:
    """A PostgreSQL server; the folder of its programs, which no search path names."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("needs a PostgreSQL server (Debian package postgresql-15)")
    return found[-1].parent


def require_bpf() -> None:
    """Root, BCC, a kernel with ring buffers, tracefs that is mounted or may be."""
    require_root()
    pytest.importorskip("bcc", reason="needs BCC (Debian package python3-bpfcc)")
    kernel = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if kernel < BPF_RINGBUF_KERNEL:
        skip_unavoidable(f"kernel {os.uname().release} has no BPF ring buffers")
    filesystems = Path("/proc/filesystems").read_text(encoding="ascii")
    if "tracefs" not in filesystems and not any(place.is_dir() for place in TRACEFS_PLACES):
        skip_unavoidable("the kernel was built without tracefs")


def require_btf() -> None:
    """What `require_bpf` asks for, and the kernel's own type information."""
    require_bpf()
    if not KERNEL_BTF.exists():
        skip_unavoidable(f"the kernel has no {KERNEL_BTF}")


def require_audit() -> None:
    """A kernel that keeps login user and session of every process."""
    if not Path("/proc/self/loginuid").exists():
        skip_unavoidable("the kernel was built without audit")


def require_sandbox_users() -> None:
    """Root and the system users of the unprivileged roles, which set-up creates."""
    require_root()
    users = Path("/etc/passwd").read_text(encoding="utf-8")
    absent = [u for u in ("bulkhead-evaluator", "bulkhead-link") if f"\n{u}:" not in users]
    if absent:
        pytest.skip(f"needs the system users {', '.join(absent)}: run scripts/setup")


def require_disposable_machine() -> None:
    """A virtual machine that nobody misses: its clock may be set. `make kernel-matrix` says so."""
    if os.environ.get("BULKHEAD_DISPOSABLE") != "1":
        skip_unavoidable("it is no virtual machine that may be spoilt (make kernel-matrix)")


def require_kvm() -> None:
    """Hardware virtualisation that this process may use."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        skip_unavoidable("no /dev/kvm")


def require_vagrant() -> None:
    """Vagrant, which only those install who bring hosts up with it."""
    if shutil.which("vagrant") is None:
        skip_unavoidable("no vagrant (scripts/setup --for-vagrant installs it)")


def require_browser() -> tuple[str, str]:
    """Debian's chromium and what drives it; returns their paths."""
    return (
        require_command("chromium", "chromium"),
        require_command("chromedriver", "chromium-driver"),
    )


def require_corpus(name: str) -> Path:
    """A folder of outside material, kept beside the checkout and never in it; returns its path."""
    folder = CHECKOUT.parent / "shared" / "corpora" / name
    if not folder.is_dir():
        skip_unavoidable(f"no ../shared/corpora/{name} beside the checkout")
    return folder
