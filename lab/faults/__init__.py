"""What happens to an arm: one module each, with a constant `FAULT`."""
