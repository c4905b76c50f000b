"""An asynchronous client for the amoCRM (Kommo) API v4 that stands on its own."""
