"""Kills, full disks, torn writes: what the store must survive."""
