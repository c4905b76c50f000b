"""Seeing: what a service shows of itself to machines: metrics for Prometheus, and a call for every change of state."""
