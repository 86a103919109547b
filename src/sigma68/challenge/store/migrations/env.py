"""What Alembic runs to migrate: over the connection that `migrate.py` hands it."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from sigma68.challenge.store.tables import Base, UtcTime


def _render(kind: str, item: Any, autogenerating: Any) -> str | Literal[False]:
    """A step says what a column is in SQL, not in this version's own types."""
    if kind == "type" and isinstance(item, UtcTime):
        return "sa.DateTime(timezone=True)"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot change a table in place; a batch makes a new one and copies.
    render_as_batch=True,
    compare_type=True,
    render_item=_render,
)
context.run_migrations()
