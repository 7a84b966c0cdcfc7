"""The whole loop on one machine, no GPU: a model server, a sidecar, a load and the live page.

Everything but the page runs in a child process of its own, as it would in production.
"""
