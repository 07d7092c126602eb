"""Our side of the bridge: consent, its proof, and the work that follows from it. Names no mailing platform."""
