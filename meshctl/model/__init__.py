"""What the user wants, as frozen values, and what is observed of it (`views`).

The values are msgspec structs: they decode from the store's JSON in one step without loading pydantic, which costs an
idle proxy 8 MB. `config/` is the only writer; it has already checked what it builds, so nothing here validates.
"""
