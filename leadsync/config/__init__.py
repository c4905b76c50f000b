"""leadsync.yaml and the mapping files: read with their places, checked whole, all mistakes at once."""
