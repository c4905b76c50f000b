"""Forgetting: everything that is remembered of a person, found and removed. What stands in amoCRM stays there."""
