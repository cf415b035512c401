"""How fast one pass for all widths is, measured side by side in one process."""
