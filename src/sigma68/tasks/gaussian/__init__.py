"""The oracle: a measurement whose likelihood is known in closed form."""
