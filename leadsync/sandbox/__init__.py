"""An amoCRM look-alike over HTTP, with the real limits, refusals and quirks; it knows nothing of the rest of leadsync."""
