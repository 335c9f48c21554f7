"""What the conformance and fault tests share: processes and records."""
