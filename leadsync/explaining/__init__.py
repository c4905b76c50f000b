"""Everything there is to say about one record: what was found, read, rendered, planned, remembered and refused."""
