"""Who is it, what differs, what will be sent, and sending it."""
