"""Every address against the evidence: of the store, of a file, of a platform. Changes nothing (AUD-01)."""
