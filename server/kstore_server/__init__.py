"""The server: sockets, asyncio, threads, signals. Nothing here decides anything about Kafka."""
