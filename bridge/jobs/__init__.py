"""Work that runs without a reader waiting."""
