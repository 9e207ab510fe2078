"""The `telepath` command (extra `[cli]`): the SDK from a shell. One module for each group of commands."""
