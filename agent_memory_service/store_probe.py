"""When the service learns about its store, and what it does until then.

Three modules belong together. This one decides when to try the store, and refuses requests if the store is unsuitable.
store_trial.py tries it: it learns how the store behaves, and finds what the store lacks. store_traits.py has the
result, and forms writes as the result demands.

The service learns once, before the first request or at the first use of the store. A store that is down is asked
again; one that is refused is asked again too, as it may be replaced.
"""

import asyncio
import logging

from dapr_wire import DaprWire
from errors import ServiceError, StoreRefusesWrites, StoreUnavailable, StoreUnsuitable
from store_traits import StoreTraits
from store_trial import Lack, StoreTrial

ASK_AGAIN_SECONDS = 1.0
"""Pause before a store that did not respond is asked again, in seconds: waiting requests share the trial."""
TRY_AGAIN_SECONDS = 30.0
"""Pause before an unsuitable store is tried again, in seconds: replacing a store takes longer."""
START_SECONDS = 5.0
"""How long the start of the service waits for the trial, in seconds: a trial takes a tenth of a second."""

logger = logging.getLogger("agent_memory_service.store")


class StoreProbe:
    """What is known about the store. With given `traits` it tries nothing."""

    def __init__(self, wire: DaprWire, traits: StoreTraits | None = None) -> None:
        self._wire = wire
        self._traits = traits
        self._failure: ServiceError | None = None
        self._retry_at = 0.0
        self._trial: asyncio.Task[None] | None = None

    async def traits(self) -> StoreTraits:
        """Return how the store behaves. Raises StoreUnsuitable, StoreUnavailable and StoreRefusesWrites."""
        if self._traits is None:
            if self._failure is None or asyncio.get_running_loop().time() >= self._retry_at:
                await self.learn()
            if self._failure is not None:
                raise self._failure.with_traceback(None)
        assert self._traits is not None
        return self._traits

    async def check_readable(self) -> None:
        """Raise StoreUnsuitable and StoreUnavailable. A store that refuses writes may be read, and keys deleted."""
        if self._traits is None:
            try:
                await self.traits()
            except StoreRefusesWrites:
                return

    async def start(self) -> None:
        """Learn before the first request, if the store responds."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self.traits()
        except (ServiceError, TimeoutError) as error:
            logger.warning("store not tried yet, will be asked again: %s", error)

    async def learn(self) -> None:
        """Try the store, also if it was tried before. Callers at the same time share one trial, which none can end."""
        if self._trial is None or self._trial.done():
            self._trial = asyncio.create_task(self._learn())
        await asyncio.shield(self._trial)

    async def close(self) -> None:
        """End a trial that is under way."""
        if self._trial is not None:
            self._trial.cancel()
            await asyncio.gather(self._trial, return_exceptions=True)

    async def _learn(self) -> None:
        now = asyncio.get_running_loop().time
        try:
            traits = await self._tried()
        except Lack as lack:
            self._traits, self._retry_at = None, now() + TRY_AGAIN_SECONDS
            self._failure = StoreUnsuitable(await self._sentence(lack))
            logger.error("store refused: %s", self._failure)  # noqa: TRY400 - the cause is in the sentence
        except (StoreUnavailable, StoreRefusesWrites) as failure:
            # What was learned before still counts.
            pause = ASK_AGAIN_SECONDS if isinstance(failure, StoreUnavailable) else 0
            self._failure, self._retry_at = failure, now() + pause
        else:
            if traits != self._traits:
                logger.info("store tried: %s %s", self._wire.store, traits)
            self._traits, self._failure = traits, None

    async def _tried(self) -> StoreTraits:
        """Try the store; if it seems to lack something, once more: a store in trouble refuses writes that are right."""
        try:
            return await StoreTrial(self._wire).run()
        except Lack:
            return await StoreTrial(self._wire).run()

    async def _sentence(self, lack: Lack) -> str:
        component = await self._wire.component_type()
        name = self._wire.store if component is None else f"{self._wire.store} ({component})"
        return f"The state store {name} {lack.lack}. {lack.remedy}: docs/operations.md lists those that were tried."
