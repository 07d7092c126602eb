"""Lists of contacts that are there already: read from files and platforms, and taken in with their evidence."""
