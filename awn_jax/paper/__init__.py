"""The tables and figures of the paper, from runs of this library: which runs they need, what is kept of each, what is drawn."""
