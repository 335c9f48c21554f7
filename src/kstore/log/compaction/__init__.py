"""Compaction: of each key only the latest value is kept, and offsets never change.

`choice` decides what is cleaned, `rules` what is kept, `rewrite` writes it, `swap` puts it in the
place of the old segments, and `run` is the order of all that.
"""
