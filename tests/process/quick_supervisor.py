"""The supervisor, which calls every evaluator stable: `python -m tests.process.quick_supervisor …`.

Deaths in quick succession are answered ever more slowly. A test of many attacks, each of which
costs an evaluator, would do little but wait.
"""

import sys

from agent.supervisor.__main__ import main
from agent.supervisor.limits import LIMITS

if __name__ == "__main__":
    object.__setattr__(LIMITS, "stable_seconds", 0.0)
    sys.exit(main())
