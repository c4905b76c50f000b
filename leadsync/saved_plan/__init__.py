"""A saved plan: what somebody looked at is what is sent, or nothing is."""
