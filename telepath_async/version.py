"""The version, written once: pyproject.toml reads it; the metadata would cost 10 ms."""

__version__ = "0.1.0"
