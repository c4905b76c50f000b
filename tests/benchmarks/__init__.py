"""Benchmarks: `python -m tests.benchmarks` measures what issue tables and the README say about speed."""
