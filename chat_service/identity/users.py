"""The user that a request is for."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class User:
    """A user, known by a token or claimed by the request itself."""

    user_id: str
    name: str
    """What the user is called until a profile says otherwise: the token's subject, or the claimed user id."""
    is_verified: bool
    """Whether a token says who the user is. Else anybody may have written the user id."""

    @classmethod
    def claimed(cls, user_id: str) -> Self:
        """The user with this id, of which the request gives no proof."""
        return cls(user_id, user_id, is_verified=False)

    def is_named(self, name: str) -> bool:
        """Whether a request with this `user_id` means this user. A token's own subject is accepted as well."""
        return name in (self.user_id, self.name)
