"""Which of the six findings' answers would have stopped July 2024: all combinations, replayed."""
