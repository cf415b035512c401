"""The error that a config is refused with."""

from awn_jax.errors import UserError


class ConfigError(UserError, ValueError):
    """A config has an unknown field or a value that makes no sense; the message names it."""


def require(condition: bool, message: str) -> None:
    """Raises ConfigError with a message unless a condition holds."""
    if not condition:
        raise ConfigError(message)
