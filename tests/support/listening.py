"""The end of an asyncio listener, at a moment at which it loses nothing."""

import asyncio
from typing import Final

TURNS_MAX: Final = 9
"""Turns of the loop that an accepted socket is given until its connection is made."""


async def close_listener(listener: asyncio.Server) -> None:
    """Close it when no socket that was accepted is still on its way to a transport.

    Between the two asyncio takes a turn of its loop, and a server that was closed meanwhile makes
    it fail without a word (`Server._attach`): the socket would be open until it is collected.
    """
    for _ in range(TURNS_MAX):
        if not any("_accept_connection2" in repr(task.get_coro()) for task in asyncio.all_tasks()):
            break
        await asyncio.sleep(0)
    listener.close()
    for _ in range(TURNS_MAX):  # what was accepted just now becomes a connection first
        await asyncio.sleep(0)
