"""Commands that look after a checkout; `scripts/setup` and `scripts/clean` are the entrances."""
