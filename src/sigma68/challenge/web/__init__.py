"""The challenge's front door: pages and a JSON API over `store`, `rules` and `queue`, no rule of its own."""
