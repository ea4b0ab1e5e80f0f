"""The right to delete evidence ends by itself: what deploy/grant.sh asks of Azure, and what it refuses."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from .checkout import Checkout
from .fake_az import SUBSCRIPTION

PERSON = "0f0f0f0f-0000-4000-8000-00000000000a"
ROLE = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/e"
FAKE = """#!{python}
import json, os, sys
words = sys.argv[1:]
open(os.environ["AZ_LOG"], "a").write(json.dumps(words) + "\\n")
match words[:3]:
    case ["account", "show", _]: print("{subscription}")
    case ["role", "definition", "list"]: print("{role}" if "no role" not in os.listdir(os.environ["AZ_STATE"]) else "")
    case ["role", "assignment", "list"]: print("/one\\t\\n/two" if "[?principalId=='{person}'].id" in words else "")
    case ["role", "assignment", "create" | "delete"]: pass
    case _: sys.exit(2)
"""


@pytest.fixture(autouse=True)
def asked(checkout: Checkout, tmp_path: Path) -> None:
    text = FAKE.format(python=sys.executable, subscription=SUBSCRIPTION, role=ROLE, person=PERSON)
    (tmp_path / "bin" / "az").write_text(text)


def test_an_assignment_ends_at_an_hour(checkout: Checkout) -> None:
    done = checkout.run("grant.sh", "erase", "raw", PERSON, "3")
    assert done.returncode == 0, done.stderr
    (made,) = [call for call in checkout.calls() if call[:3] == ["role", "assignment", "create"]]
    given = dict(zip(made[3::2], made[4::2], strict=False))
    assert given["--role"] == ROLE
    assert given["--assignee-object-id"] == PERSON
    # Not below the account: its lock would keep the assignment from being deleted (lock-resources).
    assert given["--scope"] == f"/subscriptions/{SUBSCRIPTION}/resourceGroups/quantx-dev"
    assert given["--condition-version"] == "2.0"
    condition = given["--condition"]
    named = re.findall(r"ActionMatches\{'[\w./]+/blobs/(\w+)'\}", condition)
    assert named == ["read", "delete"]  # every action of the role: one that the condition leaves out would not end
    assert (
        "@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:name] StringEquals 'raw' AND" in condition
    )
    match = re.search(r"@Environment\[UtcNow\] DateTimeLessThan '([^']+)'\)\)$", condition)
    assert match is not None
    ends = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S.0Z").replace(tzinfo=UTC)
    assert timedelta(hours=2.9) < ends - datetime.now(UTC) < timedelta(hours=3.1)
    assert match[1] in done.stderr


def test_it_is_taken_back(checkout: Checkout) -> None:
    assert checkout.run("grant.sh", "revoke", PERSON).returncode == 0
    assert ["role", "assignment", "delete", "--ids", "/one", "/two"] in checkout.calls()
    none = checkout.run("grant.sh", "revoke", PERSON.replace("a", "b"))
    assert (none.returncode, "has no assignment" in none.stderr) == (2, True)
    assert checkout.run("grant.sh", "list").returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["erase", "host", PERSON], "must be raw or lake"),
        (["erase", "raw", "someone@example.org"], "give the object id"),
        (["erase", "raw", PERSON, "25"], "HOURS must be 1 to 24"),
        (["erase", "raw", PERSON, "forever"], "HOURS must be 1 to 24"),
        (["erase", "raw"], "deploy/grant.sh erase raw"),
        ([], "deploy/grant.sh erase raw"),
    ],
)
def test_wrong_words_grant_nothing(checkout: Checkout, words: list[str], message: str) -> None:
    done = checkout.run("grant.sh", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert not [call for call in checkout.calls() if call[:2] == ["role", "assignment"]]


def test_without_the_role_there_is_nothing_to_grant(checkout: Checkout) -> None:
    checkout.let("no role")
    done = checkout.run("grant.sh", "erase", "raw", PERSON)
    assert (done.returncode, "deploy infra/main.bicep first" in done.stderr) == (2, True)
