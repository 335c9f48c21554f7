"""`kstore bench`: measures a broker over the wire, or the embedded engine without one.

What is measured and how stands in docs/performance.md. One thread does all the work of a run, so
that the load stays light and its clock is its own; nothing here is imported by other commands.
"""
