"""Bytes ⇄ messages without I/O. Header fields travel as flat lists of bytes (name as sent, value, name, value…), which keeps
the sender's spelling and the exchange independent of the HTTP version."""
