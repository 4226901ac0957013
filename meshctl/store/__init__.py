"""The meeting point of everything that runs: a Protocol (`protocol`), the mesh's home, and the SQLite implementation."""
