"""What each width costs on this machine, and which one a budget allows."""

from awn_jax.profile.compiled import CompiledWidths
from awn_jax.profile.latency import latencies
from awn_jax.profile.measure import measure
from awn_jax.profile.table import (
    Latency,
    Profile,
    ProfiledWidth,
    ProfileError,
    best_width,
    load,
    load_current,
    plot,
    save,
    write_csv,
)

__all__ = [
    "CompiledWidths",
    "Latency",
    "Profile",
    "ProfileError",
    "ProfiledWidth",
    "best_width",
    "latencies",
    "load",
    "load_current",
    "measure",
    "plot",
    "save",
    "write_csv",
]
