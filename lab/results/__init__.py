"""What cells showed, kept: a file for each, tables of all, and where it was measured."""
