"""The far side of the bridge: what each adapter says to its ESP, and what it understands."""
