"""What each width costs on this machine, and which one a budget allows."""

from awn_jax.profile.compiled import CompiledWidths
from awn_jax.profile.latency import latencies
from awn_jax.profile.measure import MOST_WIDTHS, measure
from awn_jax.profile.picture import plot
from awn_jax.profile.store import best_width, load, load_current, save
from awn_jax.profile.table import Latency, Profile, ProfiledWidth, ProfileError

__all__ = [
    "MOST_WIDTHS",
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
]
