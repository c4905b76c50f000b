"""Tests of the amoCRM client, through its public door and over real sockets."""
