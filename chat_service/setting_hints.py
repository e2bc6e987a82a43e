"""Settings that look set but have no effect. Each is one line in the log when the service starts."""

from collections.abc import Iterator
from pathlib import Path

from dotenv import dotenv_values

from settings import ENV_FILE, Settings


def setting_hints(settings: Settings, env_file: Path = ENV_FILE) -> Iterator[str]:
    """The lines to log."""
    if settings.openai_api_key is not None and settings.llm_api_key is None:
        yield "OPENAI_API_KEY is set, but this service does not use it: set LLM_API_KEY and LLM_MODEL instead"
    misplaced = sorted(_names_in(env_file.parent.parent / ".env", settings) - settings.model_fields_set)
    if misplaced:
        names = ", ".join(name.upper() for name in misplaced)
        yield f"{names}: set in the .env file beside .env.example, which is not read: move it to chat_service/.env"


def _names_in(file: Path, settings: Settings) -> set[str]:
    """The settings that a file names with a value. A file that is missing or is not text names none."""
    try:
        values = dotenv_values(file, encoding="utf-8") if file.is_file() else {}
    except (OSError, UnicodeDecodeError):
        return set()
    return {name.lower() for name, value in values.items() if value} & type(settings).model_fields.keys()
