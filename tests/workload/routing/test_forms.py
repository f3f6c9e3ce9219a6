from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from simulator.config.path import checked
from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.workload.routing.forms import RouterForm
from simulator.workload.routing.routers import ROUTERS


class Holder(Section):
    router: RouterForm


def read(**router: Any) -> Any:
    return checked(Holder, {"router": router}).router


@pytest.mark.parametrize("kind", sorted(ROUTERS))
def test_each_law_has_a_form_with_its_defaults(kind: str) -> None:
    form, made = read(kind=kind, experts=6, top_k=2), ROUTERS[kind](experts=6, top_k=2)
    assert (form.router().experts, form.router().top_k) == (6, 2)
    assert (form.router().popularity(0) == made.popularity(0)).all()


def test_a_recording_says_how_many_experts_there_are() -> None:
    router = read(kind="measured", counts="olmoe-1b-7b", layer=0).router()
    assert (router.experts, router.top_k) == (64, 8)


@pytest.mark.parametrize(
    ("router", "message"),
    [
        ({"kind": "uniform", "experts": 2, "top_k": 3}, r"^router\.top_k: found 3, expected 2 or less"),
        ({"kind": "dirichlet", "experts": 2, "top_k": 1, "concentration": 0}, r"^router\.concentration: "),
        ({"kind": "measured", "counts": "olmoe", "layer": 0}, r"^router\.counts: .*olmoe-1b-7b"),
        ({"kind": "measured", "counts": "olmoe-1b-7b", "layer": 5}, r"^router\.layer: .*found 5, expected '0'"),
        ({"kind": "unifrom", "experts": 2, "top_k": 1}, r"^router\.kind: .*did you mean 'uniform'"),
    ],
)
def test_what_no_router_is_is_refused_at_its_key(router: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(**router)


def test_the_forms_have_a_schema() -> None:
    schema = TypeAdapter(RouterForm).json_schema()
    assert set(schema["discriminator"]["mapping"]) == {*ROUTERS, "measured"}
