"""The meeting point of all that runs: a Protocol (`protocol`), the mesh's home, and the SQLite implementation."""
