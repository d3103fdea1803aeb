"""The front door: `bulkhead agent|content|cloud|demo`.

Each group of commands is a module of its own that is imported only when it is called for, so that
`bulkhead content check` starts without gRPC and `bulkhead agent status` without the interpreter.
"""

import importlib
import sys
from types import MappingProxyType

import typer

from cli.output import ExitCode, errors

GROUPS = MappingProxyType(
    {
        "agent": "Run the sensor on this host, or ask how it is.",
        "content": "Write, check, test and pack Rapid Response Content.",
        "cloud": "Run the mock cloud, push and revoke content, see the fleet.",
        "demo": "Show and verify what Bulkhead exists for, on real kernel events.",
    }
)


def main() -> None:
    """Run the command line; the exit status is one of `cli.output.ExitCode`."""
    try:
        _application(sys.argv[1:])(prog_name="bulkhead")
    except KeyboardInterrupt:
        errors.print("interrupted")
        raise SystemExit(ExitCode.INTERRUPTED) from None


def _application(arguments: list[str]) -> typer.Typer:
    application = typer.Typer(
        help="Bulkhead: an endpoint sensor whose content can't hurt its host.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    wanted = next((word for word in arguments if word in GROUPS), None)
    for name, summary in GROUPS.items():
        if name == wanted:
            group = importlib.import_module(f"cli.{name}").application
        else:
            group = typer.Typer()
        application.add_typer(group, name=name, help=summary)
    return application


if __name__ == "__main__":
    main()
