"""The laboratory's cells: one arm under one fault, on a host of its own."""
