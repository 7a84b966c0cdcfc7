"""The vendor child: the one process that loads a library, with a thread for each device."""
