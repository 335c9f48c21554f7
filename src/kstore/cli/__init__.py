"""The `kstore` command: Kafka's command line tools, with Kafka's flags, in one program.

A client of the broker, save for `serve`, `dump-log` and `check`. Everything runs on the main
thread; what is imported by the time a command runs is only what that command needs, because a
command answers in 0.3 seconds and `kstore serve` must stay small.
"""
