"""`make load`: the whole house as an operator runs it, under load and with processes killed; then looked at closely."""
