"""What can go wrong while a role locks itself down."""


class SandboxError(Exception):
    """A role could not be locked down and must not go on; the text says which step and why."""
