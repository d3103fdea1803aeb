"""The laboratory's report: what results say, in words, tables and figures."""
