"""What runs on an installed node: health, status, and the keeping of the slot state."""
