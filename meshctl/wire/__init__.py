"""Bytes ⇄ messages without I/O. Header fields travel as triples (lower-case name, name as sent, value), all bytes, so that a
message can be filtered by name without losing the sender's spelling, and the exchange stays independent of the HTTP version."""
