"""`state.sqlite`: a server-less SQL store."""

from dataclasses import dataclass
from typing import ClassVar

from local_sidecar.state.dialects.random_etags import RandomEtags


@dataclass(frozen=True)
class SQLite(RandomEtags):
    """Dapr's SQLite component. Its refusals carry no reason."""

    name: ClassVar[str] = "sqlite"
    checks_options_of_deletions: ClassVar[bool] = True
