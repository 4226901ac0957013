"""Bytes ⇄ messages without I/O. Header fields travel as their lines (`fields`), which keeps the sender's spelling and
the exchange independent of the HTTP version."""
