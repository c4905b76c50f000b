"""Talk: which messages of a record are new since its last note.

Bots trim and rewrite their histories, so a message is known by who said what and when, never by its index.
"""
