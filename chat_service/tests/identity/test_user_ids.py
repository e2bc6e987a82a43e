"""Each subject of each issuer has a user id of its own that the memory service can keep."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.trusted_issuer import TrustedIssuer
from identity.user_ids import TAG_CHARS, main, user_of
from models import ID_PATTERN, MAX_ID_CHARS

ONE, TWO = "https://issuer.test/one", "https://issuer.test/two"
SUBJECTS = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
    | st.sampled_from(["ada", "u", ".", "..", "a~b", "auth0|123", "ada@example.com", "x" * 200, "Ада", "a b", "a/b"])
    | st.from_regex(r"[a-z._-]{1,70}(~[a-z2-7]{26})?", fullmatch=True)
)
ISSUERS = st.builds(
    TrustedIssuer,
    url=st.sampled_from([ONE, TWO]),
    user_claim=st.sampled_from(["sub", "oid"]),
    has_plain_user_ids=st.just(False),
)


@given(ISSUERS, SUBJECTS, st.booleans())
def test_user_id_is_valid(issuer: TrustedIssuer, subject: str, is_plain: bool) -> None:
    """Whatever the subject, the memory service accepts the id."""
    issuer = TrustedIssuer(issuer.url, user_claim=issuer.user_claim, has_plain_user_ids=is_plain)
    user_id = user_of(issuer, subject).user_id
    assert re.fullmatch(ID_PATTERN, user_id)
    assert len(user_id) <= MAX_ID_CHARS


@given(st.tuples(ISSUERS, SUBJECTS), st.tuples(ISSUERS, SUBJECTS))
def test_different_people_have_different_ids(one: tuple[TrustedIssuer, str], two: tuple[TrustedIssuer, str]) -> None:
    """Two ids are equal only if issuer, claim and subject are."""
    assert (user_of(*one).user_id == user_of(*two).user_id) == (one == two)


@given(SUBJECTS, SUBJECTS)
def test_plain_ids_do_not_meet_others(one: str, two: str) -> None:
    """With plain user ids on, different subjects still have different ids."""
    issuer = TrustedIssuer(ONE, has_plain_user_ids=True)
    assert (user_of(issuer, one).user_id == user_of(issuer, two).user_id) == (one == two)


@given(SUBJECTS)
def test_id_of_one_is_no_id_of_another(subject: str) -> None:
    """A person whose subject is spelled like another person's user id does not get that id."""
    for is_plain in (False, True):
        issuer = TrustedIssuer(ONE, has_plain_user_ids=is_plain)
        victim = TrustedIssuer(ONE)
        assert user_of(issuer, user_of(victim, subject).user_id).user_id != user_of(victim, subject).user_id


@pytest.mark.parametrize(
    ("subject", "user_id"),
    [
        ("ada", "ada~"),
        ("5b5d42a1-7e5c-4b9b-8a4e-0123456789ab", "5b5d42a1-7e5c-4b9b-8a4e-0123456789ab~"),
        ("auth0|123", "u~"),
        ("ada@example.com", "u~"),
        ("x" * 65, "u~"),
        ("Ада", "u~"),
    ],
)
def test_short_plain_subject_stays_readable(subject: str, user_id: str) -> None:
    """An operator recognizes a short plain subject in its id. Any other, as an e-mail address, is not readable."""
    assert user_of(TrustedIssuer(ONE), subject).user_id[:-TAG_CHARS] == user_id


def test_ids_are_stable() -> None:
    """The ids of today stay the same for ever: data is kept under them."""
    assert user_of(TrustedIssuer(ONE), "ada").user_id == "ada~pozgaybbwv4bdzncrok3gbeqom"
    assert user_of(TrustedIssuer(ONE, user_claim="oid"), "auth0|123").user_id == "u~6gb5n3dac22y7a2dvivyxcfo75"


def test_request_may_name_its_user() -> None:
    """The user id and the token's own subject both mean the user; nothing else does."""
    user = user_of(TrustedIssuer(ONE), "ada")
    assert user.is_named(user.user_id)
    assert user.is_named("ada")
    assert not user.is_named("bob")
    assert not user.is_named(user_of(TrustedIssuer(TWO), "ada").user_id)


def test_command_prints_the_mapping(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints id and subject with the service's settings, or with those in its arguments."""
    monkeypatch.setenv("OIDC_ISSUER", ONE)
    monkeypatch.setenv("OIDC_AUDIENCE", "chat")
    main(["ada", "auth0|123"])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{user_of(TrustedIssuer(ONE), subject).user_id}\t{subject}" for subject in ("ada", "auth0|123")]
    main(["--issuer", TWO, "--claim", "oid", "ada"])
    assert capsys.readouterr().out.startswith(user_of(TrustedIssuer(TWO, user_claim="oid"), "ada").user_id)


def test_command_needs_an_issuer(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an issuer there is no mapping to print: the command says what to give."""
    with pytest.raises(SystemExit):
        main(["ada"])
    assert "OIDC_ISSUER" in capsys.readouterr().err
