"""What a check finds: faults, each with file and position."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Fault", "Faults"]

_MAX_PER_FILE = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a file that is not as it should be; `position` counts bytes from its start."""

    file: str
    position: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file} at position {self.position}: {self.reason}"


class Faults:
    """Faults in the order in which they are found. Of a file that is wrong all over only the
    first hundred are kept, so that memory is bounded."""

    def __init__(self) -> None:
        self._found: list[Fault] = []
        self._counts: Counter[Path] = Counter()

    def add(self, path: Path, position: int, reason: str) -> None:
        self._counts[path] += 1
        if self._counts[path] <= _MAX_PER_FILE:
            self._found.append(Fault(str(path), position, reason))

    def all(self) -> list[Fault]:
        """The faults, and a last one for each file that has more of them."""
        more = [
            Fault(str(path), 0, f"{count - _MAX_PER_FILE} more faults in this file")
            for path, count in self._counts.items()
            if count > _MAX_PER_FILE
        ]
        return self._found + more
