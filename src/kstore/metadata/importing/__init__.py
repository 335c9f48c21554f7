"""Taking over the data directories of a Kafka node that ran in KRaft mode (3.7 to 4.3).

`records` are those of Kafka's metadata log, `metadata` is what they add up to, `reading` reads
them from the snapshot and the log in `__cluster_metadata-0`. `directories` looks at the rest of the
data directories, `plan` decides what will be served, and `writing` writes the tree. Until then
nothing is changed; Kafka's own files are never changed.
"""
