from __future__ import annotations

import pytest
from pydantic import model_validator

from simulator.config.path import checked
from simulator.config.refused import refused
from simulator.config.section import Section
from simulator.errors import ConfigError


class Inner(Section):
    size: int

    @model_validator(mode="after")
    def _can_be_made(self) -> Inner:
        with refused("size"):
            if self.size == 1:
                raise ConfigError("too small", found=1, expected="2 or more", nearest="2")
            if self.size == 2:
                raise ConfigError(path="half", found=1, expected="2 or more")
            if self.size == 3:
                raise ConfigError("not here", file="other.yaml", line=7, path="far")
        return self


class Outer(Section):
    inner: Inner


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (1, "inner.size: too small: found 1, expected 2 or more; did you mean '2'?"),
        (2, "inner.size.half: found 1, expected 2 or more"),
        (3, "inner.size: other.yaml:7: far: not here"),
    ],
)
def test_an_error_of_a_validator_is_told_at_its_key(size: int, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(Outer, {"inner": {"size": size}})
    assert str(caught.value) == message


def test_what_can_be_made_is_left_alone() -> None:
    assert checked(Outer, {"inner": {"size": 4}}).inner.size == 4
