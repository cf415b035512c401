"""What a training step costs on many TPU chips, by compiling it for them; none of them need be there."""
