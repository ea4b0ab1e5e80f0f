"""The state in PostgreSQL: one class per noun, with its named statements in the folder of the noun."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime

from typing_extensions import override

from quantx.azure_sign_in import AzureIdentity
from quantx.state.alerts.postgres import PostgresAlertFacts, PostgresAlerts, PostgresJobOutcomes
from quantx.state.audit.postgres import PostgresAudit
from quantx.state.database import Database
from quantx.state.deletions.postgres import PostgresDeletions
from quantx.state.findings.postgres import PostgresFindings
from quantx.state.gaps.postgres import PostgresGaps
from quantx.state.instruments.postgres import PostgresInstruments
from quantx.state.option_members.postgres import PostgresOptionMembers
from quantx.state.port import Hold, Role, State
from quantx.state.quotas.postgres import PostgresQuotas
from quantx.state.replies.postgres import PostgresReplies
from quantx.state.rounds.postgres import PostgresRounds
from quantx.state.runs.postgres import PostgresRuns
from quantx.state.series.postgres import PostgresSeries
from quantx.state.tasks.postgres import PostgresTasks
from quantx.state.universes.postgres import PostgresUniverses
from quantx.state.values import Binding, Row

_NEW = "new:"  # before the stored id of a state that has not yet made itself the owner of its lake
# The advisory lock of each role.
_LOCKS: dict[Role, int] = {
    "curator": 7_013_002,
    "reporter": 7_013_003,
    "universes": 7_013_004,
    "instruments": 7_013_010,
    "healer": 7_013_016,
    "inspector": 7_013_018,
    "reconciler": 7_013_020,
    "verifier": 7_013_022,
    "publisher": 7_013_024,
    "backup": 7_013_026,
    "features": 7_013_028,
    "alerts": 7_013_040,
    "options": 7_013_029,
}


class PostgresState(State):
    """A State over one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.shown_url = database.shown_url
        self.tasks = PostgresTasks(database)
        self.rounds = PostgresRounds(database)
        self.replies = PostgresReplies(database)
        self.series = PostgresSeries(database)
        self.quotas = PostgresQuotas(database)
        self.runs = PostgresRuns(database)
        self.universes = PostgresUniverses(database)
        self.findings = PostgresFindings(database)
        self.gaps = PostgresGaps(database)
        self.instruments = PostgresInstruments(database)
        self.deletions = PostgresDeletions(database)
        self.option_members = PostgresOptionMembers(database)
        self.audit = PostgresAudit(database)
        self.alerts = PostgresAlerts(database)
        self.alert_facts = PostgresAlertFacts(database)
        self.job_outcomes = PostgresJobOutcomes(database)

    @override
    def now(self) -> datetime:
        now: datetime = self.database.rows("lake_binding.now")[0]["now"]
        return now

    @override
    def binding(self) -> Binding | None:
        rows = self.database.rows("lake_binding.binding")
        return _binding(rows[0]) if rows else None

    @override
    def bind_lake(self, lake_id: str, state_id: str) -> Binding:
        rows = self.database.rows("lake_binding.bind_lake", id=lake_id, state_id=_NEW + state_id)
        while not rows:  # another process bound the two at the same moment
            rows = self.database.rows("lake_binding.bind_lake", id=lake_id, state_id=_NEW + state_id)
        return _binding(rows[0])

    @override
    def took_over(self) -> None:
        self.database.rows("lake_binding.took_over", new=_NEW)

    @override
    def exclusive(self, *roles: Role) -> AbstractContextManager[Hold | None]:
        return self.database.exclusive(*(_LOCKS[role] for role in roles))

    @override
    def close(self) -> None:
        self.database.close()


def _binding(row: Row) -> Binding:
    state_id: str = row["state_id"]
    return Binding(row["id"], state_id.removeprefix(_NEW), took_over=not state_id.startswith(_NEW))


def open_state(url: str, identity: AzureIdentity | None = None) -> PostgresState:
    """Open the state by its URL, or the embedded one in a folder; raise ConfigError or StateError where that fails.

    An `identity` signs in instead of a password.
    """
    return PostgresState(Database(url, identity=identity))
