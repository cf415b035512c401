"""Which platform a kernel is being built for: the default backend's, unless told otherwise."""

import contextlib

import jax

# Part of the key of jit's caches: the same function may be traced for several platforms.
_target = jax.make_user_context(default_value=None)


def target_platform(platform: str) -> contextlib.AbstractContextManager[None]:
    """Makes the ops choose their implementation for `platform` ("cpu", "tpu" or "gpu") inside a `with` block.

    For compiling ahead of time for another machine, and for interpreting an accelerator's kernels on a CPU.

    Args:
      platform: name of the platform, as `jax.default_backend()` gives it.

    Returns:
      A context manager.

    Raises:
      ValueError: if the platform has another name.

    Example:
      >>> with target_platform("tpu"):
      ...     current_platform()
      'tpu'
    """
    if platform not in ("cpu", "tpu", "gpu"):
        raise ValueError(f'platform must be "cpu", "tpu" or "gpu", got {platform!r}')
    return _target(platform)


def current_platform() -> str:
    """Returns the platform to build kernels for."""
    return _target.value or jax.default_backend()
