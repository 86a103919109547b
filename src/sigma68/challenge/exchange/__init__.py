"""A challenge on its way from one server to another: exports of everything, and Codabench's bundles.

`bundle.py` says what a bundle holds, `open_bundle` and `write_bundle` read and write one. Nothing
of a bundle is ever run here.
"""
