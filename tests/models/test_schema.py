"""The migrations make exactly what the models declare, and there is one head."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from models import schema
from models.db import Base

schema.import_all()


def is_ours(_object, name, kind, _reflected, _other):
    return not (kind == "table" and str(name).startswith(("procrastinate_", "charge_line_")))


def test_the_migrations_make_what_the_models_declare(engine: Engine):
    with engine.connect() as db:
        context = MigrationContext.configure(db, opts={"include_object": is_ours})
        assert compare_metadata(context, Base.metadata) == []


def test_there_is_one_head():
    assert len(ScriptDirectory(str(schema.MIGRATIONS)).get_heads()) == 1


def test_every_sequence_and_sql_file_is_in_a_migration(engine: Engine):
    written = "".join(
        file.read_text("utf8") for file in (schema.MIGRATIONS / "versions").glob("*.py")
    )
    for file in (schema.MIGRATIONS / "sql").glob("*.sql"):
        assert file.name in written
    with engine.connect() as db:
        there = set(db.scalars(text("SELECT relname FROM pg_class WHERE relkind = 'S'")))
    assert {sequence.name for sequence in Base.metadata._sequences.values()} <= there


def test_migrating_twice_changes_nothing(engine: Engine):
    schema.upgrade(engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    with engine.connect() as db:
        head = ScriptDirectory(str(schema.MIGRATIONS)).get_current_head()
        assert list(db.scalars(text("SELECT version_num FROM alembic_version"))) == [head]
