"""The version, written once: pyproject.toml reads it from here, and looking it up in the metadata costs 10 ms at import."""

__version__ = "0.1.0"
