"""What the cluster agrees on: brokers, topics and their configs, producer ids.

`tree` is the interface to a small tree of nodes, `sqlite_tree` its embedded store, `layout` says
which node holds what: Kafka's classic layout in ZooKeeper. `cluster` keeps an immutable image of it
all, which requests read, and takes changes one after the other; `topics` and `brokers` are what may
be changed, `producer_ids` stands beside them. `importing` takes over what a Kafka node has left.
"""
