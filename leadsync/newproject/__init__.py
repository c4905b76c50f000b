"""What `leadsync init` writes: a commented project made from the account's own fields and from the talks in Redis."""
