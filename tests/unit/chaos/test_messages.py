"""The messages of a chaos run."""

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.chaos.messages import SHARES, Behaviour, ChaosMessage, behaviour_of, payload, payloads

VALID = [behaviour for behaviour in Behaviour if behaviour is not Behaviour.INVALID]


@given(st.integers(0, 10**9), st.sampled_from(VALID))
def test_a_valid_message_is_read_back(serial: int, behaviour: Behaviour) -> None:
    """By the schema of the task, and by who counts."""
    value = payload(serial, behaviour)

    assert ChaosMessage.model_validate_json(value) == ChaosMessage(serial=serial, behaviour=behaviour)
    assert behaviour_of(value) is behaviour


@given(st.integers(0, 10**9))
def test_an_invalid_message_is_invalid(serial: int) -> None:
    """For the schema, and for who counts."""
    value = payload(serial, Behaviour.INVALID)

    with pytest.raises(ValidationError):
        ChaosMessage.model_validate_json(value)
    assert behaviour_of(value) is Behaviour.INVALID


def test_the_shares_are_as_said() -> None:
    """Of 50,000 messages, within a third of what is expected for the frequent ones."""
    counts = Counter(behaviour_of(value) for value in islice(payloads(1), 50_000))

    for behaviour, share in SHARES.items():
        expected = share * 5
        assert counts[behaviour] > 0, behaviour
        if expected > 100:
            assert 0.66 * expected < counts[behaviour] < 1.33 * expected


def test_a_seed_determines_the_messages() -> None:
    """The same seed the same ones, in the same order."""
    assert list(islice(payloads(7), 1_000)) == list(islice(payloads(7), 1_000))
    assert list(islice(payloads(7), 1_000)) != list(islice(payloads(8), 1_000))
