"""Runners by name. A runner's module is imported when it is chosen, so that each works alone."""

import importlib
from collections.abc import Callable, Mapping

from lab.cells.runner import Runner, RunnerError


def imported(module: str, name: str) -> Callable[[], Runner]:
    """What makes a runner; RunnerError where its module, or one that it needs, isn't there."""

    def make() -> Runner:
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise RunnerError(f"RUNNER_MISSING: {module}: {error}") from error
        runner: Runner = getattr(found, name)()
        return runner

    return make


RUNNERS: Mapping[str, Callable[[], Runner]] = {
    "direct": imported("lab.runners.direct", "DirectRunner"),
    "vagrant": imported("lab.runners.vagrant", "VagrantRunner"),
}
