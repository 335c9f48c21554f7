"""kstore beside the brokers that a user could pick instead, on one machine, in turn."""
