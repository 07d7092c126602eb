"""What the bridge costs, measured beside the smallest honest program that does the same, in the same run."""
