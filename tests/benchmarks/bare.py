"""The baseline of every figure over HTTP: Flask, one route, no database, nothing around it.

``/row`` asks for one row by plain psycopg: no login, no limits, no log. Nothing that reads from the
database can be faster on this server.
"""

import os
import threading
from typing import Any

import psycopg
from flask import Flask

app = Flask("bare")
_mine = threading.local()


@app.get("/bare")
def bare() -> dict[str, Any]:
    """Answer"""
    return {"ok": True}


@app.get("/row")
def row() -> dict[str, Any]:
    """Answer with a row"""
    if not hasattr(_mine, "db"):
        _mine.db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    found = _mine.db.execute("SELECT id::text FROM hospital LIMIT 1").fetchone()
    return {"id": found[0]}
