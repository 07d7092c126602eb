"""A breach of personal data: whom it concerns, the papers about it, and telling them (GDPR 33, 34; BRC-01)."""
