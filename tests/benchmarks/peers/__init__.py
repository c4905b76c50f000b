"""Peers: other clients of amoCRM from PyPI, each written as its own documentation shows, against the same look-alike.

Each script here runs in an environment that holds the peers and nothing of leadsync: `SCRIPT URL TOKEN TALKS_FILE`.
Their own limits of requests per second are switched off, since only requests are counted.
"""
