"""`xla_staircase`: blocks of the staircase as ordinary convolutions, tuned for CPUs."""
