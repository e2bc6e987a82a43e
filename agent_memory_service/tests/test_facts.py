"""Facts about a user: kept once, bounded, with the profile, and erased with it."""

import json

import pytest

from documents import Document
from fact_list import MAX_FACTS, corrected, facts_of, remembered
from models import MAX_FACT_CHARS
from tests.fake_clients import Fault
from tests.fake_time import run
from tests.rules_harness import Simulate, settled
from tests.service_under_test import Service
from tests.user_workload import ChangeGoal, Erase, Forget, Initialize, Remember
from tests.workload import Append

FACTS = "/memories/u/facts"
DEFAULT = {"name": "u", "preferred_style": "casual", "goal": "chat"}


def test_a_fact_is_remembered_corrected_and_forgotten(service: Service) -> None:
    """A fact has an id, a time and its session. A correction keeps all three."""

    async def scenario() -> None:
        made = await service.http.post(FACTS, json={"text": " Likes\n tea ", "session_id": "s"})
        fact = made.json()
        assert (made.status_code, fact["text"], fact["session_id"]) == (201, "Likes tea", "s")
        assert (await service.http.get(FACTS)).json() == {"facts": [fact]}
        change = await service.http.patch(f"{FACTS}/{fact['fact_id']}", json={"text": "Likes green tea"})
        assert change.json() == {**fact, "text": "Likes green tea"}
        for _ in range(2):
            assert (await service.http.delete(f"{FACTS}/{fact['fact_id']}")).status_code == 204
        assert (await service.http.get(FACTS)).json() == {"facts": []}
        gone = await service.http.patch(f"{FACTS}/{fact['fact_id']}", json={"text": "x"})
        assert (gone.status_code, gone.json()["code"]) == (404, "fact_unknown")

    run(scenario())


def test_the_same_text_is_kept_once(service: Service) -> None:
    """Case and blanks make no other fact. The first one is returned, also after a correction to the same text."""

    async def scenario() -> None:
        first = (await service.http.post(FACTS, json={"text": "Likes tea"})).json()
        again = await service.http.post(FACTS, json={"text": "likes  TEA", "session_id": "s"})
        assert (again.status_code, again.json()) == (200, first)
        other = (await service.http.post(FACTS, json={"text": "Likes coffee"})).json()
        await service.http.patch(f"{FACTS}/{other['fact_id']}", json={"text": "likes tea"})
        assert (await service.http.get(FACTS)).json() == {"facts": [{**other, "text": "likes tea"}]}

    run(scenario())


def test_facts_are_bounded(service: Service) -> None:
    """A hundred facts of 300 characters are kept. One more is refused with what to do; a known one is not."""

    async def scenario() -> None:
        texts = [f"{number:03}".ljust(MAX_FACT_CHARS, "x") for number in range(MAX_FACTS)]
        for text in texts:
            assert (await service.http.post(FACTS, json={"text": text})).status_code == 201
        refused = await service.http.post(FACTS, json={"text": "more"})
        assert (refused.status_code, refused.json()["code"]) == (409, "too_many_facts")
        assert "Forget one" in refused.json()["detail"]
        assert (await service.http.post(FACTS, json={"text": texts[0]})).status_code == 200

    run(scenario())


@pytest.mark.parametrize("text", ["", "  \n", "x" * (MAX_FACT_CHARS + 1), "\ud800", None, 5])
def test_a_text_that_is_no_fact_is_refused(service: Service, text: object) -> None:
    """An empty or long text is 422, and so is one that is not text."""

    async def scenario() -> None:
        body = json.dumps({"text": text})
        headers = {"content-type": "application/json"}
        assert (await service.http.post(FACTS, content=body, headers=headers)).status_code == 422

    run(scenario())


def test_one_read_brings_profile_and_facts(service: Service) -> None:
    """The tutorial's route has the tutorial's three fields; with `facts` it has the facts too, for one read."""

    async def scenario() -> None:
        fact = (await service.http.post(FACTS, json={"text": "Likes tea"})).json()
        assert (await service.http.get("/memories/u")).json() == DEFAULT
        service.dapr.calls.clear()
        assert (await service.http.get("/memories/u?facts=true")).json() == {**DEFAULT, "facts": [fact]}
        assert service.dapr.calls == {"get": 1}
        assert (await service.http.get("/memories/v?facts=true")).json() == {**DEFAULT, "name": "v", "facts": []}

    run(scenario())


def test_a_new_profile_keeps_the_facts(service: Service) -> None:
    """The tutorial's initialize overwrites the profile's fields and PATCH changes some. Neither loses a fact."""

    async def scenario() -> None:
        fact = (await service.http.post(FACTS, json={"text": "Likes tea"})).json()
        profile = {"name": "Ann", "preferred_style": "formal", "goal": "plan"}
        initialized = await service.http.post("/memories/u/initialize", json=profile)
        assert initialized.json()["metadata"] == profile
        assert (await service.http.patch("/memories/u", json={"goal": "rest"})).json() == {**profile, "goal": "rest"}
        assert (await service.http.get(FACTS)).json() == {"facts": [fact]}

    run(scenario())


def test_the_tutorials_code_reads_a_profile_with_facts(service: Service) -> None:
    """The document has the tutorial's fields, also if the user had no profile before the first fact."""

    async def scenario() -> None:
        await service.http.post(FACTS, json={"text": "Likes tea"})
        stored = service.dapr.value("user:u")
        assert isinstance(stored, dict)
        assert {name: stored[name] for name in DEFAULT} == DEFAULT

    run(scenario())


def test_what_others_wrote_into_the_document_is_no_failure(service: Service) -> None:
    """Items that are no facts are left out, and the next change removes them."""

    async def scenario() -> None:
        good: Document = {"fact_id": "1", "text": "Likes tea"}
        service.dapr.seed(
            "user:u", {**DEFAULT, "facts": ["x", 5, {"text": 1, "fact_id": "2"}, {**good, "created_at": 5}, good]}
        )
        assert [fact["text"] for fact in (await service.http.get(FACTS)).json()["facts"]] == ["Likes tea"]
        service.dapr.seed("user:u", {**DEFAULT, "facts": "none"})
        assert (await service.http.get(FACTS)).json() == {"facts": []}

    run(scenario())


def test_export_and_erase_have_the_facts(service: Service) -> None:
    """An export has every fact. An erase leaves the empty document."""

    async def scenario() -> None:
        fact = (await service.http.post(FACTS, json={"text": "secret"})).json()
        assert (await service.http.get("/memories/u/export")).json()["facts"] == [fact]
        assert (await service.http.delete("/memories/u")).status_code == 204
        assert service.dapr.value("user:u") == {}
        assert (await service.http.get("/memories/u/export")).json()["facts"] == []

    run(scenario())


def test_a_fact_of_a_deleted_or_foreign_session_is_refused(service: Service) -> None:
    """A turn in flight brings nothing back after an erase, and nobody writes in another's session."""

    async def scenario() -> None:
        await service.append("mine", "t", "hello")
        await service.append("theirs", "t", "hello", user="v")
        await service.http.delete("/memories/u")
        late = await service.http.post(FACTS, json={"text": "secret", "session_id": "mine"})
        assert (late.status_code, late.json()["code"]) == (410, "session_deleted")
        foreign = await service.http.post(FACTS, json={"text": "secret", "session_id": "theirs"})
        assert (foreign.status_code, foreign.json()["code"]) == (403, "not_owner")
        assert service.dapr.value("user:u") == {}

    run(scenario())


@pytest.mark.parametrize("fault", [Fault.RESPONSE_LOST, Fault.ERROR_DONE, Fault.CONFLICT_DONE, Fault.REQUEST_LOST])
def test_a_fact_whose_response_was_lost_is_kept_once(simulate: Simulate, fault: Fault) -> None:
    """The next attempt finds what the first one wrote."""
    simulation = simulate([Remember("s")])
    simulation.reach("0.0", "save user:u")
    simulation.step("0.0", fault)
    record = simulation.complete("0.0")
    assert record.error is None
    settled(simulation)
    assert simulation.observer.facts["u"][-1].after == ("tea",)


def test_the_same_fact_from_two_replicas_is_kept_once(simulate: Simulate) -> None:
    """Both read that it is not there. The etag refuses one, which then finds it."""
    simulation = simulate([Remember("s")], [Remember("s")])
    for name in ("0.0", "1.0"):
        simulation.reach(name, "save user:u")
    assert [simulation.complete(name).error for name in ("0.0", "1.0")] == [None, None]
    settled(simulation)
    assert simulation.observer.facts["u"][-1].after == ("tea",)


def test_facts_of_two_replicas_are_both_kept(simulate: Simulate) -> None:
    """A fact, a change of the profile and a new profile at once: the etags keep all three."""
    simulation = simulate([Remember("s", "tea")], [Remember("s", "cats")], [ChangeGoal("s")], [Initialize("s")])
    for name in ("0.0", "1.0", "2.0", "3.0"):
        simulation.reach(name, "save user:u")
    for name in ("3.0", "2.0", "1.0", "0.0"):
        assert simulation.complete(name).error is None
    settled(simulation)
    assert simulation.observer.facts["u"][-1].after == ("cats", "tea")


def test_a_fact_that_lands_after_an_erase_is_refused(simulate: Simulate) -> None:
    """R reads the profile, and its write is late. E erases the user. R's write is refused by its etag."""
    simulation = simulate([Remember("s")], [Erase("s")], before=[Remember("s", "cats")])
    simulation.reach("0.0", "save user:u")
    simulation.step("0.0", Fault.LATE)
    simulation.replicas[0].sidecar.crash()
    assert simulation.complete("1.0").error is None
    simulation.land(0)
    assert simulation.dapr.value("user:u") == {}
    settled(simulation)


def test_a_fact_in_flight_in_an_erased_session_is_refused(simulate: Simulate) -> None:
    """R has read the profile. E erases the user and the session. R's next attempt finds the tombstone: 410."""
    simulation = simulate([Remember("s", of_session=True)], [Erase("s")], before=[Append("s", "a")])
    simulation.reach("0.0", "save user:u")
    assert simulation.complete("1.0").error is None
    error = simulation.complete("0.0").error
    assert error is not None
    assert error.status == 410
    assert simulation.dapr.value("user:u") == {}
    settled(simulation)


def test_a_fact_that_lands_before_its_session_is_erased_goes_too(simulate: Simulate) -> None:
    """E has erased the profile, and not yet the session: the fact's retry finds it alive, and is stored."""
    simulation = simulate([Remember("s", of_session=True)], [Erase("s")], before=[Append("s", "a")])
    simulation.reach("0.0", "save user:u")
    simulation.reach("1.0", "save session:s")
    assert simulation.complete("0.0").error is None
    assert simulation.complete("1.0").error is None
    settled(simulation)
    assert simulation.dapr.value("user:u") == {}


def test_a_forgotten_fact_stays_forgotten(simulate: Simulate) -> None:
    """F's response is lost, and its next attempt finds nothing to do. The other fact stays."""
    simulation = simulate([Forget("s", "tea")], before=[Remember("s", "tea"), Remember("s", "cats")])
    simulation.reach("0.0", "save user:u")
    simulation.step("0.0", Fault.RESPONSE_LOST)
    assert simulation.complete("0.0").error is None
    settled(simulation)
    assert simulation.observer.facts["u"][-1].after == ("cats",)


def test_an_id_is_never_that_of_another_text() -> None:
    """A text whose id a corrected fact still has gets another id, the same in every attempt."""
    facts = remembered([], "tea", "then", None)
    facts = corrected(facts, str(facts[0]["fact_id"]), "coffee")
    first, again = [remembered(facts, "Tea", "then", None) for _ in range(2)]
    assert first == again
    assert len({str(fact["fact_id"]) for fact in facts_of({"facts": list(first)})}) == 2
