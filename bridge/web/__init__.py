"""The only rooms that know Flask: they translate HTTP to acts and answers to pages, nothing more."""
