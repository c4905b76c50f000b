"""What leadsync remembers, in Redis."""
