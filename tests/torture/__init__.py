"""`make torture`: the whole house on real processes that are killed again and again, and then looked at closely."""
