"""Record → Desired, pure: no clock, no network, no environment."""
