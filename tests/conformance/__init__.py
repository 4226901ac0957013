"""The gateway as its peers see it: bytes in, bytes out."""
