"""The line before PostgreSQL: what it loses was done."""

from contextlib import closing
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.prove.proxy import CALM, DatabaseLine, Lines, Weather


def test_a_commit_whose_reply_is_lost_has_happened(postgres_url: str) -> None:
    there = urlsplit(postgres_url)
    table = "CREATE TABLE lost_reply (id int PRIMARY KEY)"
    with psycopg.connect(postgres_url, autocommit=True, dbname="postgres") as direct:
        direct.execute(table)
        with Lines() as lines:
            line = lines.lay(DatabaseLine("database", there.port or 5432, 7))
            over = f"postgresql://postgres@127.0.0.1:{line.port}/postgres?sslmode=disable"
            with closing(psycopg.connect(over)) as client:
                client.execute("INSERT INTO lost_reply VALUES (1)")
                line.weather = Weather(lose=1.0)
                with pytest.raises(psycopg.OperationalError):
                    client.commit()
            line.weather = CALM
        assert line.commits_lost == 1
        assert direct.execute("SELECT id FROM lost_reply").fetchall() == [(1,)]
        direct.execute("DROP TABLE lost_reply")
