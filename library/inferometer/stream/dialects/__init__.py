"""One module for each kind of server: what its frames and bodies say, as events."""
