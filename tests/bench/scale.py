"""How much is measured: the full run, bounded to five minutes for all, or the smoke run, bounded to one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Full or smoke."""

    smoke: bool = False

    @property
    def rounds(self) -> int:
        """Repetitions of a cheap measurement."""
        return self.of(9, smoke=2)

    def of(self, full: int, *, smoke: int) -> int:
        """The one or the other number."""
        return smoke if self.smoke else full
