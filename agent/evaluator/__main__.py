"""`python -m agent.evaluator`: the evaluator as shipped."""

import sys

from agent.evaluator.role import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
