"""The base of every section of a YAML, and a type of its keys."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Any, TypeVar

from annotated_types import MinLen
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic_core import CoreSchema

T = TypeVar("T")

NonEmpty = Annotated[T, MinLen(1)]
"""A list or a table of at least one: `NonEmpty[list[Count]]`."""


class Section(BaseModel):
    """A section of a YAML file: unknown keys are errors, and nothing changes once it is read.

    The docstring under a key is its line in the reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The JSON Schema of the section, with the meaning of each key."""
        return described(cls, handler(schema), handler)


def described(form: type[BaseModel], schema: dict[str, Any], handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """The JSON Schema of a form, with the meaning of each key."""
    properties = handler.resolve_ref_schema(schema).get("properties", {})
    for name, meaning in meanings(form).items():
        properties[form.model_fields[name].alias or name]["description"] = meaning
    return schema


@dataclass(frozen=True)
class Written:
    """Says in a JSON Schema that a mapping is written as a form has it, of which each key may be left out."""

    form: type[Section]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return described(self.form, handler(self.form.__pydantic_core_schema__), handler)


@cache
def meanings(form: type[BaseModel]) -> dict[str, str]:
    """The docstring under each key of a form, its own or inherited.

    Read from the source when it is needed: pydantic would read it for each command that only knows the form.
    """
    lines: dict[str, str] = {}
    for base in reversed(form.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            (body,) = ast.parse(dedent(inspect.getsource(base))).body
            for key, text in pairwise(body.body):  # type: ignore[attr-defined]
                match key, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                        lines[name] = inspect.cleandoc(meaning)
    return {name: meaning for name, meaning in lines.items() if name in form.model_fields}
