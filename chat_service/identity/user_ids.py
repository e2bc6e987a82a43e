"""The user id of a token's subject. Run `python -m identity.user_ids SUBJECT` in the service's folder to print it.

A subject is unique for one issuer and one claim only. Its user id is therefore `{name}~{tag}`: the tag is a digest of
issuer, claim and subject, and the name is the subject where it is short and plain, else `u`. Two different triples
never get the same id, because the same tag would need a collision in SHA-256.

With plain user ids on, a subject that is a valid id in ASCII without `~` is its own user id. It cannot equal an id with
a tag. Other scripts are left out, because some stores do not tell all their letters apart.
"""

import argparse
import re
from base64 import b32encode
from collections.abc import Sequence
from hashlib import sha256

from identity.trusted_issuer import TrustedIssuer
from identity.users import User
from models import is_id
from settings import load_settings

TAG_CHARS = 26
"""Characters of the tag. Each has 5 bits; 130 bits are too many to search for a subject with another person's tag."""
TAG_MARK = "~"
"""Stands before the tag. A plain user id has none, so that it never equals an id with a tag."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""A subject that may be read in logs and keys. An e-mail address is not: it stays out of both."""


def user_of(issuer: TrustedIssuer, subject: str) -> User:
    """The user of a subject. Raises UnicodeEncodeError for a subject that is not valid Unicode."""
    return User(_user_id(issuer, subject), subject, is_verified=True)


def _user_id(issuer: TrustedIssuer, subject: str) -> str:
    if issuer.has_plain_user_ids and TAG_MARK not in subject and subject.isascii() and is_id(subject):
        return subject
    name = subject if _NAME.fullmatch(subject) else "u"
    return f"{name}{TAG_MARK}{_tag(issuer.url, issuer.user_claim, subject)}"


def _tag(*parts: str) -> str:
    """A digest of the parts. Neither an issuer's URL nor a claim's name contains the separator NUL."""
    digest = sha256("\0".join(parts).encode()).digest()
    return b32encode(digest).decode()[:TAG_CHARS].lower()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line with user id and subject for each subject in the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m identity.user_ids",
        description="Print the user id of each subject, as the service computes it with its settings.",
    )
    parser.add_argument("subject", nargs="+", help="the value of the token's user claim")
    parser.add_argument("--issuer", help="instead of OIDC_ISSUER")
    parser.add_argument("--claim", help="instead of OIDC_USER_CLAIM")
    options = parser.parse_args(arguments)
    settings = load_settings()
    url = options.issuer or settings.oidc_issuer
    if url is None:
        parser.error("OIDC_ISSUER is not set: name the issuer with --issuer")
    issuer = TrustedIssuer(
        url=url,
        user_claim=options.claim or settings.oidc_user_claim,
        has_plain_user_ids=settings.oidc_plain_user_ids,
    )
    for subject in options.subject:
        print(user_of(issuer, subject).user_id, subject, sep="\t")


if __name__ == "__main__":
    main()
