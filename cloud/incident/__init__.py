"""What became of one crash: who was hit, what stopped it, what it cost. From the records alone."""
