"""A folder that BCC takes for kernel headers, so that none need be installed.

BCC's own headers include a handful of kernel headers for type names and a version number; the
programs of the sensor include nothing. `kernel_source` writes those few files into a private
temporary folder, points BCC at it and removes it afterwards; it also removes what a collector left
that was killed meanwhile. See docs/adr/0003.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from probes.private_mounts import cover

VARIABLE = "BCC_KERNEL_SOURCE"
PREFIX = "bulkhead-kernel-"
PROC = Path("/proc")
SYMBOLS = PROC / "kallsyms"

TYPES = """\
#ifndef BULKHEAD_TYPES
#define BULKHEAD_TYPES
typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u64 __attribute__((aligned(8))) __aligned_u64;
typedef __u16 __le16, __be16, __sum16;
typedef __u32 __le32, __be32, __wsum;
typedef __u64 __le64, __be64;
typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;
typedef _Bool bool;
typedef unsigned long size_t;
typedef unsigned long uintptr_t;
typedef int pid_t;
#define __always_inline inline __attribute__((always_inline))
#define true 1
#define false 0
#define NULL ((void *)0)
#endif
"""

VERSION = """\
#pragma once
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#define LINUX_VERSION_CODE KERNEL_VERSION({major}, {minor}, {patch})
"""

EMPTY = (
    "include/linux/log2.h",
    "include/linux/bpf_common.h",
    "include/uapi/linux/bpf.h",
    "include/uapi/linux/if_ether.h",
    "include/uapi/linux/if_packet.h",
    "include/uapi/linux/ptrace.h",
)


def files(release: str) -> dict[str, str]:
    """Path and text of every file of the tree, for a kernel release such as ``6.1.0-25-amd64``."""
    numbers = [int(number) for number in re.findall(r"\d+", release)[:3]] + [0, 0, 0]
    version = VERSION.format(major=numbers[0], minor=numbers[1], patch=numbers[2])
    return {
        "include/linux/types.h": TYPES,
        "include/linux/version.h": version,
        "include/linux/kconfig.h": "#define CONFIG_BPF_SYSCALL 1\n",
        "include/asm/page.h": f"#pragma once\n#define PAGE_SIZE {os.sysconf('SC_PAGE_SIZE')}\n",
        **dict.fromkeys(EMPTY, ""),
    }


@contextmanager
def kernel_source() -> Iterator[None]:
    """While it lasts, BCC compiles against the generated tree; then the tree is gone."""
    before = os.environ.get(VARIABLE)
    _remove_leftovers(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as name:
        folder = Path(name)
        for path, text in files(os.uname().release).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="ascii")
        os.environ[VARIABLE] = name
        try:
            yield
        finally:
            _restore(before)


def hide_symbols() -> None:
    """Spare BCC a look at all symbols of the kernel, if the kernel lets us.

    It reads the hundred thousand lines of /proc/kallsyms at each compilation to choose a helper for
    pointers that it follows itself. Our programs have none, so that an empty file does as well.
    Only this process, and what it forks, sees that.
    """
    with contextlib.suppress(OSError):
        cover(SYMBOLS, Path(os.devnull))


def _remove_leftovers(folder: Path) -> None:
    """Remove trees of ours whose process is gone; somebody else's are left alone."""
    for tree in folder.glob(f"{PREFIX}*-*"):
        pid = tree.name.removeprefix(PREFIX).partition("-")[0]
        try:
            ours = tree.lstat().st_uid == os.geteuid()
        except FileNotFoundError:
            continue
        if ours and pid.isdecimal() and not (PROC / pid).exists():
            shutil.rmtree(tree, ignore_errors=True)


def _restore(before: str | None) -> None:
    if before is None:
        del os.environ[VARIABLE]
    else:
        os.environ[VARIABLE] = before
