"""Looking into a model: the ops that it is made of, what they cost, and whether a narrow network is a prefix of a wide one."""

from awn_jax.network.births import axes, distinct_widths
from awn_jax.network.nodes import Network, Node, UnknownLayerError
from awn_jax.network.prefix import PrefixReport, check_prefix
from awn_jax.network.read import Cost, bound, cost, costs, read

__all__ = [
    "Cost",
    "Network",
    "Node",
    "PrefixReport",
    "UnknownLayerError",
    "axes",
    "bound",
    "check_prefix",
    "cost",
    "costs",
    "distinct_widths",
    "read",
]
