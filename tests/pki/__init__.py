"""Identities, authorities and certificates, over real keys."""
