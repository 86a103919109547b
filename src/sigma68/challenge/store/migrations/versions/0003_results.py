"""Challenges that are answered by results, and the observations they give away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Added in place: made anew, the table would take the rows that name it along.
    op.add_column(
        "challenges",
        sa.Column("takes", sa.String(length=16), nullable=False, server_default="code"),
    )
    op.create_table(
        "observations",
        sa.Column("phase_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("file", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("n_observations", sa.Integer(), nullable=False),
        sa.Column("made", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["phase_id"],
            ["phases.id"],
            name=op.f("fk_observations_phase_id_phases"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("phase_id", name=op.f("pk_observations")),
        sa.UniqueConstraint("file", name=op.f("uq_observations_file")),
    )
    op.create_table(
        "observation_truths",
        sa.Column("phase_id", sa.Integer(), nullable=False),
        sa.Column("file", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["phase_id"],
            ["observations.phase_id"],
            name=op.f("fk_observation_truths_phase_id_observations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("phase_id", name=op.f("pk_observation_truths")),
        sa.UniqueConstraint("file", name=op.f("uq_observation_truths_file")),
    )


def downgrade() -> None:
    op.drop_table("observation_truths")
    op.drop_table("observations")
    op.drop_column("challenges", "takes")
