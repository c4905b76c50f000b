"""leadsync turns the talks of a firm's bots into contacts, leads, custom fields and notes in amoCRM."""
