from kstore._native.codec import Plan

def encode(plan: Plan, message: object) -> bytes:
    """The bytes of `message`; EncodeError."""
