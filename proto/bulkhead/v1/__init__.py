"""Version 1 of the wire; every `*_pb2*` file here is generated, never edited."""
