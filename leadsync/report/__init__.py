"""A plan or a run as text, JSON, Markdown."""
