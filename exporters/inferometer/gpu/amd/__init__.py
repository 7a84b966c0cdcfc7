"""AMD devices through the amdsmi binding."""
