"""`state.in-memory`: for development. Each sidecar has a state of its own, which ends with the process."""

from dataclasses import dataclass
from typing import ClassVar

from local_sidecar.state.dialects.base import Item, parse_whole_number
from local_sidecar.state.dialects.random_etags import TTL_LIMIT_SECONDS, RandomEtags
from local_sidecar.state.operations import FIRST_WRITE, EtagMismatch, Operation, Refused


@dataclass(frozen=True)
class InMemory(RandomEtags):
    """Dapr's in-memory component.

    One difference is left: Dapr's checks all etags of a transaction before it writes the first operation.
    """

    name: ClassVar[str] = "in-memory"
    capabilities: ClassVar[tuple[str, ...]] = (*RandomEtags.capabilities, "DELETE_WITH_PREFIX")
    bulk_reads_each_key: ClassVar[bool] = True
    in_file: ClassVar[bool] = False
    cleanup_seconds: ClassVar[float] = 1
    deletions_see_expired: ClassVar[bool] = False

    def check(self, operation: Operation) -> None:
        """Refuse unknown options, but for deletions in a transaction, and a TTL that is not a number."""
        if operation.value is not None or not operation.transactional:
            operation.check_options()
        self.ttl(operation)

    def check_deletion(self, found: Item | None, operation: Operation) -> None:
        """`first-write` applies to deletions as well."""
        super().check_deletion(found, operation)
        if found and not operation.etag and operation.concurrency == FIRST_WRITE:
            raise self.already_exists()

    def check_etag(self, item: Item | None, operation: Operation) -> None:
        """The reason of a refusal names both etags."""
        if item is None:
            raise EtagMismatch(f"state not exist or expired for key={operation.key}")
        if item.etag != operation.etag:
            etags = f"current={item.etag}, expect={operation.etag}"
            raise EtagMismatch(f"state etag not match for key={operation.key}: {etags}")

    def already_exists(self) -> Refused:
        """409 with a reason."""
        return EtagMismatch("item already exists and no etag was passed")

    def ttl(self, operation: Operation) -> int:
        """Any number is a TTL. Those below 1 mean never."""
        if not operation.ttl:
            return -1
        return min(parse_whole_number(operation.ttl, 500, "strconv.Atoi"), TTL_LIMIT_SECONDS)
