"""What others can see and do while a turn runs."""

from dataclasses import dataclass, field

from agent.progress import Emit
from turn.progress_log import ProgressLog
from turn.stop_switch import StopSwitch


@dataclass(frozen=True)
class LiveTurn:
    """A turn's progress so far, and the switch that stops its model."""

    is_streamed: bool
    """Whether the model is asked for its reply in pieces. Else there is no progress."""
    progress: ProgressLog = field(default_factory=ProgressLog)
    stop: StopSwitch = field(default_factory=StopSwitch)

    @property
    def emit(self) -> Emit | None:
        """Receives the progress of a streamed turn."""
        return self.progress.add if self.is_streamed else None
