"""One fuzzing process: libFuzzer (through atheris) calls one target until it is told to end.

    python -m tests.fuzz.runner NAME [--seconds N | --quick] [--corpus FOLDER]
    python -m tests.fuzz.runner NAME FILE...        try these inputs again, once each

Python of ours reports the edges that it takes, which is what new inputs are chosen by. Extensions
in C (protobuf, Hyperscan, RE2, numpy, libyaml, json's scanner) are called as they are:
atheris can't instrument them, so what happens within them doesn't guide the search. A crash of
theirs is found all the same.

A finding ends the process with a status other than 0; its input is in build/fuzz/NAME.
"""

import argparse
import importlib
import sys
from pathlib import Path

import atheris

from tests.fuzz.campaign import CHECKOUT, folder_of
from tests.fuzz.target import Target

INSTRUMENTED = [
    *("agent", "cloud.console", "cloud.presigned", "content"),
    *("tests.fuzz.drawn", "tests.unit.content"),
]
SECONDS_FOR_ONE_INPUT = 20
"""Longer, and the input counts as one that takes for ever."""

MEMORY_MIB = 4096


def main() -> None:
    """Fuzz; libFuzzer ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.runner")
    parser.add_argument("name")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--corpus", type=Path)
    asked = parser.parse_args()
    with atheris.instrument_imports(include=INSTRUMENTED):
        target: Target = importlib.import_module(f"tests.fuzz.fuzz_{asked.name}").TARGET
    folder = folder_of(asked.name)
    options = [
        f"-artifact_prefix={folder.relative_to(CHECKOUT)}/",
        f"-max_len={target.max_bytes}",
        f"-timeout={SECONDS_FOR_ONE_INPUT}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-max_total_time={asked.seconds}",
        f"-runs={target.quick_runs if asked.quick else -1}",
        "-seed=1",
        "-print_final_stats=1",
    ]
    inputs = asked.files or [asked.corpus or folder / "corpus", folder / "seeds"]
    if not asked.files:
        _write_seeds(target, inputs)
    atheris.Setup([sys.argv[0], *options, *map(str, inputs)], target.one_input)
    atheris.Fuzz()


def _write_seeds(target: Target, folders: list[Path]) -> None:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (folders[-1] / f"seed-{number:03}").write_bytes(seed)


if __name__ == "__main__":
    main()
