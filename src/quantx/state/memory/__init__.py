"""A real State in memory, for tests and for the fleet's simulator: the same promises, time given by a clock."""

from quantx.state.memory.runs import MemoryRuns as MemoryRuns
from quantx.state.memory.runs import MemoryUniverses as MemoryUniverses
from quantx.state.memory.series import MemoryQuotas as MemoryQuotas
from quantx.state.memory.series import MemorySeries as MemorySeries
from quantx.state.memory.state import MemoryState as MemoryState
from quantx.state.memory.tasks import MemoryTasks as MemoryTasks
