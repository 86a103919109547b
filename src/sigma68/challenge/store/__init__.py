"""What the challenge remembers: typed tables in a database, entries and toys in files."""
