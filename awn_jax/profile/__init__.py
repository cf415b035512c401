"""What each width costs on this machine, and which one a budget allows."""

from awn_jax.profile.measure import measure
from awn_jax.profile.programs import Programs
from awn_jax.profile.table import Latency, Profile, ProfileError, Row, best_width, load, plot, save

__all__ = [
    "Latency",
    "Profile",
    "ProfileError",
    "Programs",
    "Row",
    "best_width",
    "load",
    "measure",
    "plot",
    "save",
]
