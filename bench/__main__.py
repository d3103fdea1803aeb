"""Run all benchmarks, one process each, and say which could not be measured.

`python -m bench [--quick]`; the exit status is 1 if a benchmark failed. In CI one that is not
measurable fails as well, because CI has everything.
"""

import argparse
import os
import subprocess
import sys
import time

from bench.harness import CHECKOUT, NOT_MEASURABLE, programs


def main() -> int:
    """Run them in order of their names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the short form that CI runs")
    arguments = ["--quick"] if parser.parse_args().quick else []
    failed, skipped = [], []
    began = time.monotonic()
    for name in programs():
        print(f"bench: {name} …", flush=True)
        status = subprocess.run(
            [sys.executable, "-m", f"bench.{name}", *arguments], check=False, cwd=CHECKOUT
        ).returncode
        if status == NOT_MEASURABLE and os.environ.get("CI") != "true":
            skipped.append(name)
        elif status != 0:
            failed.append(name)
    print(f"bench: {len(programs())} programs after {time.monotonic() - began:.0f} s")
    for title, names in (("not measurable here", skipped), ("FAILED", failed)):
        if names:
            print(f"bench: {title}: {', '.join(names)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
