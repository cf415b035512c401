"""Compiling for a Hopper GPU on a machine without one: needs JAX's CUDA plugin and `ptxas`, no driver."""

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from ..backend import UnsupportedError

# What XLA asks a device about itself, answered for an H100 SXM.
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84929347584
  cuda_compute_capability { major: 9 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 12 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def offline_sharding() -> SingleDeviceSharding:
    """Returns a placement on an H100 that need not exist: `jit(f).lower(...)` on arrays placed so can be compiled.

    Returns:
      The sharding to give to `jax.ShapeDtypeStruct`.

    Raises:
      UnsupportedError: if JAX's CUDA plugin is not installed.
    """
    try:
        topology = topologies.get_topology_desc(platform="cuda", target_config=H100, topology="1x1x1")
    except (RuntimeError, KeyError, ValueError) as error:
        raise UnsupportedError(f"compiling for CUDA needs the packages jax-cuda13-plugin and -pjrt: {error}") from error
    device: jax.Device = topology.devices[0]
    return SingleDeviceSharding(device)
