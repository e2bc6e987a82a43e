"""The agent alone, in the bench's own process: what the model call of a turn costs without the services."""

import time

from agents import Agent, OpenAIChatCompletionsModel, RunConfig, Runner, TResponseInputItem, function_tool
from openai import AsyncOpenAI
from openai.types.responses import EasyInputMessageParam

from bench.load import Entry

INSTRUCTIONS = "You are a helpful chatbot. Respond in a casual way. The user's name is Ada, their goal is to chat."
"""About as long as the instructions that the chat service writes."""


@function_tool
def get_current_time() -> str:
    """Return the current time, as the services' tool does."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())


class BareAgent:
    """An agent with the same kind of model, client and tool as the services', on the endpoint `model_url`."""

    def __init__(self, model_url: str) -> None:
        self.client = AsyncOpenAI(base_url=model_url, api_key="bench", max_retries=0)
        model = OpenAIChatCompletionsModel(model="bench", openai_client=self.client)
        self.agent = Agent(name="bare", instructions=INSTRUCTIONS, model=model, tools=[get_current_time])
        self.config = RunConfig(tracing_disabled=True)

    async def run(self, window: list[Entry], text: str) -> bool:
        """Run the agent on the earlier messages and the new text. Returns whether it replied."""
        result = await Runner.run(self.agent, input=model_input(window, text), run_config=self.config)
        return bool(result.final_output)

    async def first_token(self, window: list[Entry], text: str) -> float:
        """Return the seconds to the first piece of text of a streamed run. The run is read to its end."""
        start = time.perf_counter()
        first = 0.0
        result = Runner.run_streamed(self.agent, input=model_input(window, text), run_config=self.config)
        async for event in result.stream_events():
            if not first and event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                first = time.perf_counter() - start
        return first

    async def close(self) -> None:
        """Close the client's connections."""
        await self.client.close()


def model_input(window: list[Entry], text: str) -> list[TResponseInputItem]:
    """Return the messages in the form of the Agents SDK."""
    items: list[TResponseInputItem] = [
        EasyInputMessageParam(role="user" if entry["role"] == "user" else "assistant", content=entry["content"])
        for entry in window
    ]
    return [*items, EasyInputMessageParam(role="user", content=text)]
