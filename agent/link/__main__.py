"""`python -m agent.link`: the link as shipped."""

import signal
import sys

# A terminal's Ctrl-C and a service manager's SIGTERM reach every role; only the supervisor acts on
# them. Before the long imports, which they would otherwise interrupt with a traceback.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)

from agent.link.role import run  # noqa: E402 — see above

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
