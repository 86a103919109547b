"""Work that outlives whoever does it: jobs with leases, and the workers that take them."""
