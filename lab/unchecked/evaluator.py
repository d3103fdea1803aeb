"""`python -m lab.unchecked.evaluator`: the shipped evaluator with the interpreter of 2024 in it.

Same process, same sandbox, same channel; only the engine is the unchecked one, and the trial
leaves out validation, samples and the shadow run, none of which the sensor of 2024 had. It is put
in through the supervisor's role table.
"""

import sys

from agent.evaluator.role import run
from lab.unchecked import build
from lab.unchecked.engine import unchecked_engine


def main() -> int:
    """Be the evaluator; exit status 2 where the unchecked interpreter can't be built."""
    try:
        build.load()
    except build.BuildError as error:
        sys.stderr.write(f"lab.unchecked: {error}\n")
        return 2
    return run(sys.argv[1:], unchecked_engine, lenient=True)


if __name__ == "__main__":
    sys.exit(main())
