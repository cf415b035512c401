"""Any-width networks in JAX."""
