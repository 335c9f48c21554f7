"""Other people's programs that judge kstore."""
