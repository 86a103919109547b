"""Challenges answered by files of results: observations given away, answers read, scores."""
