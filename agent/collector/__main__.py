"""`python -m agent.collector`: the collector as shipped."""

import sys

from agent.collector.role import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
