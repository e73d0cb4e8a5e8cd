"""Hand-written doubles that several tests share."""
