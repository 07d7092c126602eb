"""The far side of the bridge: one mailing platform per file."""
