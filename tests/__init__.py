"""What the house promises, one file per thing a reader, marketer, operator or ESP can do."""
