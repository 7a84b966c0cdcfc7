"""The server's side of a child: started, listened to, replaced; what it told is kept."""
