"""Checks of the code itself: its shape, its words and what it loads."""
