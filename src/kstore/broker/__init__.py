"""Requests to replies: partitions, waiting fetches, fetch sessions, and one file per API.

Everything here runs on the loop, in plain functions without locks; nothing knows a socket. The
server hands frames to `dispatch.Dispatcher` and sends what it answers.
"""
