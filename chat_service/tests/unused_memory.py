"""The memory of a turn whose tools are not called."""

from agent.user_memory import UserMemory
from memory_user_data import UserDataClient
from settings import Settings
from sidecar_http import open_memory_http


def unused_memory() -> UserMemory:
    """It opens no socket before its first call."""
    return UserMemory(UserDataClient(open_memory_http(Settings())), "alice", "s")
