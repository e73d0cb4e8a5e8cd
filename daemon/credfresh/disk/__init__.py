"""Files among files of others: paths that are to be trusted, locks, writes that cannot tear."""
