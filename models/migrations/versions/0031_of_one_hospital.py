"""A bill is held to its stay's hospital and a message to its patient's, by one key instead of two."""

from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    hold("daily_bill", "admission")
    hold("message", "patient")


def hold(table: str, parent: str) -> None:
    """Two keys, to the hospital and to the parent's id, become one to both columns of the parent."""
    op.create_unique_constraint(op.f(f"uq_{parent}_hospital_id_id"), parent, ["hospital_id", "id"])
    op.drop_constraint(op.f(f"fk_{table}_hospital_id"), table)
    op.drop_constraint(op.f(f"fk_{table}_{parent}_id"), table)
    op.create_foreign_key(
        op.f(f"fk_{table}_hospital_id_{parent}_id"),
        table,
        parent,
        ["hospital_id", f"{parent}_id"],
        ["hospital_id", "id"],
    )
