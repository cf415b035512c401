"""`pallas_tpu`: implicit matrix products that visit only the blocks of weights that exist, in Pallas for TPUs."""
