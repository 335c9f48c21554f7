"""The Kafka protocol without sockets: versions, schemas, messages, headers.

This room alone knows versions of messages. It turns bytes into messages and messages into bytes; it
holds no state but the plans that it made, and decides nothing.
"""
