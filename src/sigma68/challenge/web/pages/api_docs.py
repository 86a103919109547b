"""The API's documentation as a page of our own, made from its OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from sigma68.challenge.web.visits import VisitDep

__all__ = ["router"]

router = APIRouter()

_PREFIX = "#/components/schemas/"
_FOR_ONE_CALL = "Body_"


@router.get("/api/docs")
def docs(visit: VisitDep) -> Response:
    """Every call: its address, what it takes, what it gives."""
    document = visit.request.app.openapi()
    schemas = document.get("components", {}).get("schemas", {})
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, verbs in document["paths"].items():
        for verb, call in verbs.items():
            group = call.get("tags", ["other"])[0]
            groups.setdefault(group, []).append(_call(verb, path, call, schemas))
    objects = {
        name: [(field, _kind(of), of.get("description", "")) for field, of in fields.items()]
        for name, schema in sorted(schemas.items())
        if (fields := schema.get("properties"))
        and not name.startswith(_FOR_ONE_CALL)
        and "ValidationError" not in name
    }
    return visit.page(
        "api_docs.html", description=document["info"]["description"], groups=groups, objects=objects
    )


def _call(verb: str, path: str, call: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    body = call.get("requestBody", {}).get("content", {})
    answers = [
        (status, _content(answer.get("content", {})))
        for status, answer in call["responses"].items()
        if status.startswith("2")
    ]
    return {
        "verb": verb.upper(),
        "path": path,
        "says": call.get("description") or call.get("summary", ""),
        "parameters": [
            (one["name"], _kind(one["schema"]), one.get("description", ""))
            for one in call.get("parameters", [])
            if one["in"] == "query"
        ],
        "body": _body(body, schemas),
        "answers": answers,
    }


def _body(content: dict[str, Any], schemas: dict[str, Any]) -> str:
    """What is sent; an object made for one call alone is written out."""
    name = _content(content)
    fields = schemas.get(name, {}).get("properties", {})
    if not name.startswith(_FOR_ONE_CALL):
        return name
    return "{" + ", ".join(f"{field}: {_kind(of)}" for field, of in fields.items()) + "}"


def _content(content: dict[str, Any]) -> str:
    return ", ".join(
        _kind(of.get("schema", {})) if kind == "application/json" else kind
        for kind, of in content.items()
    )


def _kind(schema: dict[str, Any]) -> str:
    """A type in a few words; the names of objects are those of the list below the calls."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_PREFIX)
    for way in ("anyOf", "allOf", "oneOf"):
        if way in schema:
            return " or ".join(_kind(one) for one in schema[way])
    if "enum" in schema or "const" in schema:
        return " or ".join(f'"{one}"' for one in schema.get("enum", [schema.get("const")]))
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_kind(schema['additionalProperties'])}"
    return {"date-time": "time"}.get(schema.get("format", ""), kind)
