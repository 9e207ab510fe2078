"""Fixtures for users' own tests: `telepath_sandbox` and `telepath_client`. Installing the package is all it takes."""
