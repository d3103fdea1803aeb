"""Runners by name. A runner's module is imported when it is chosen, so that each works alone."""

import importlib
from collections.abc import Callable, Mapping

from lab.cells.runner import Runner


def _imported(module: str, name: str) -> Callable[[], Runner]:
    def make() -> Runner:
        runner: Runner = getattr(importlib.import_module(module), name)()
        return runner

    return make


RUNNERS: Mapping[str, Callable[[], Runner]] = {
    "direct": _imported("lab.runners.direct", "DirectRunner"),
    "vagrant": _imported("lab.runners.vagrant", "VagrantRunner"),
}
