"""Values come back as from Dapr's Redis store (as in the recordings `value-numbers` and `value-text`)."""

import pytest

from local_sidecar.state.encodings import REDIS_JSON
from local_sidecar.state.json_values import Document


def written(text: str) -> str:
    """A JSON text as it comes back."""
    document = Document(text, REDIS_JSON)
    return document.written(document.value).decode()


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        *(("1.0", "1"), ("-0.0", "0"), ("-0", "0"), ("1E5", "100000"), ("0.9999996", "1"), ("2.50", "2.5")),
        *(("0.1234567891", "0.123457"), ("0.00001", "0.00001"), ("1e-7", "0"), ("-1e-9", "-0"), ("5e-7", "0.000001")),
        *(("83886078.1234567", "83886078.123457"), ("83886080.1234567", "83886080.1234567")),
        *(("9007199254740993", "9007199254740992"), ("12345678901234567890", "12345678901234567000")),
        *(("1e20", "100000000000000000000"), ("1e21", "1e+21"), ("1.5e300", "1.5e+300"), ("1e-320", "0")),
    ],
)
def test_numbers_are_floats_of_six_decimals(number: str, kept: str) -> None:
    """Numbers keep six decimals, alone and inside a value."""
    assert written(number) == kept
    assert written(f'{{"b":[{number}],"a":""}}') == f'{{"a":"","b":[{kept}]}}'


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (r'"\u00e9\ud83d\ude00"', '"é😀"'),
        (r'"\ud800\ud83d\ude00"', '"�😀"'),
        (r'"\\ud800"', r'"\\ud800"'),
        (r'"\b\f\n\t\u0000"', r'"\u0008\u000c\n\t\u0000"'),
        (r'"\\b<&>\/"', r'"\\b<&>/"'),
        ('{"b":1,"a":2,"b":3}', '{"a":2,"b":3}'),
    ],
)
def test_text_survives(text: str, kept: str) -> None:
    """Text stays as it is, half a surrogate pair is replaced and keys are sorted."""
    assert written(text) == kept


def test_what_follows_the_first_value_is_ignored() -> None:
    """Text after the first value is ignored, also when it is no JSON."""
    assert written(" \n[1] and more") == "[1]"
    assert written("01") == "0"


@pytest.mark.parametrize("text", ["", "[1", "NaN", "[Infinity]", "1e400", "'a'", '"\x01"', "\ufeff1"])
def test_what_is_no_json_is_refused(text: str) -> None:
    """What only Python's JSON parser accepts is refused."""
    with pytest.raises(ValueError, match=r"\S"):
        Document(text, REDIS_JSON)
