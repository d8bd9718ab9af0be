"""The baseline of every figure over HTTP: Flask, one route, no database, nothing around it."""

from typing import Any

from flask import Flask

app = Flask("bare")


@app.get("/bare")
def bare() -> dict[str, Any]:
    """Answer"""
    return {"ok": True}
