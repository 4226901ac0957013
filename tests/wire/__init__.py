"""Bytes into messages and back, without I/O."""
