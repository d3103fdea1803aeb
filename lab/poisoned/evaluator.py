"""`python -m lab.poisoned.evaluator`: the shipped evaluator with an engine that dies of poison.

Same process, same sandbox, same channel. The trial leaves out validation, samples and the shadow
run, which would kill the candidate: here the poison is of the kind that a trial does not find.
It is put in through the supervisor's role table.
"""

import sys

from agent.evaluator.role import run
from lab.poisoned.engine import poisoned_engine

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], poisoned_engine, lenient=True))
