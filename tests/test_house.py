"""The house keeps itself: directions of imports, sizes, words, settings, tasks, migrations."""

import ast
import dataclasses
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import config
import jobs
from policies.refusal_texts import catalogue

ROOT = Path(__file__).parent.parent
ROOMS = ("api", "journeys", "models", "notifications", "payments", "policies")
FILE_CEILING, FUNCTION_CEILING = 400, 50
MAY_IMPORT = {
    "config.py": set(),
    "jobs.py": {"config", "journeys", "logs", "payments", "notifications", "models", "policies"},
    "local.py": {"local_servers"},
    "local_servers.py": set(),
    "logs.py": set(),
    "wsgi.py": {"api", "config", "journeys", "models"},
}
OURS = {*ROOMS, "config", "jobs", "local", "local_servers", "logs", "simulator", "wsgi"}
REFUSALS = {"Refused", "NotFound", "Conflict", "Forbidden", "Unauthenticated", "Busy"}


def files(*suffixes: str) -> list[Path]:
    """Every file of the project that git would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.splitlines()
    found = [ROOT / name for name in listed]
    return [file for file in found if file.suffix in suffixes and file.exists()]


def code(*rooms: str) -> list[Path]:
    """The Python files of these rooms, or of the whole project without its migrations."""
    found = [file for file in files(".py") if "versions" not in file.parts]
    inside = [file for file in found if file.relative_to(ROOT).parts[0] in rooms]
    return inside if rooms else found


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf8"))


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_each_room_imports_only_the_rooms_below_it() -> None:
    lint = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    told = subprocess.run(
        [sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_top_level_files_import_only_what_they_may(name: str) -> None:
    imported = set()
    for node in ast.walk(tree(ROOT / name)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported & OURS <= MAY_IMPORT[name]


def test_migrations_have_one_head() -> None:
    script = ScriptDirectory.from_config(Config(toml_file=ROOT / "pyproject.toml"))
    assert len(script.get_heads()) == 1


def test_no_dead_settings() -> None:
    readers = [*code(*ROOMS), ROOT / "config.py", ROOT / "jobs.py", ROOT / "wsgi.py"]
    text = "\n".join(file.read_text("utf8") for file in readers)
    kinds = [kind for kind in vars(config).values() if isinstance(kind, type)]
    fields = {
        field.name
        for kind in kinds
        if dataclasses.is_dataclass(kind)
        for field in dataclasses.fields(kind)
    }
    assert {name for name in fields if not re.search(rf"\.{name}\b", text)} == set()


def test_no_file_is_too_long() -> None:
    long = {named(f): len(f.read_text("utf8").splitlines()) for f in code()}
    assert {name: lines for name, lines in long.items() if lines > FILE_CEILING} == {}


def test_no_function_is_too_long() -> None:
    long = {
        f"{named(file)}:{node.name}": lines
        for file in code()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_CEILING
    }
    assert long == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [named(f) for f in code() if tree(f).body and not ast.get_docstring(tree(f))]
    assert silent == []


def test_no_drawer_for_everything() -> None:
    drawers = {"utils.py", "helpers.py", "common.py", "base_service.py", "misc.py", "managers.py"}
    assert [named(file) for file in code() if file.name in drawers] == []


def test_names_are_what_a_hospital_would_say() -> None:
    technique = re.compile("(Manager|Processor|Handler|Service|Helper|Util)s?$")
    found = [
        f"{named(file)}:{node.name}"
        for file in code(*ROOMS, "simulator")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ClassDef) and technique.search(node.name)
    ]
    assert found == []


def test_every_refusal_has_words() -> None:
    raised = {
        (named(file), argument.value)
        for file in code(*ROOMS)
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and _called(node) in REFUSALS
        for argument in node.args[:1]
        if isinstance(argument, ast.Constant)
    }
    assert {(file, code) for file, code in raised if code not in catalogue()} == set()


def test_all_words_of_refusals_are_used() -> None:
    said = {
        node.value
        for file in code(*ROOMS)
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(catalogue()) - said == set()


def test_every_deferred_task_is_in_the_table() -> None:
    deferred = {
        argument.value
        for file in code(*ROOMS)
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and _called(node) == "defer" and len(node.args) > 1
        for argument in node.args[1:2]
        if isinstance(argument, ast.Constant)
    }
    for file in files(".sql"):
        written = file.read_text("utf8")
        deferred |= set(re.findall(r"(?:defer_job\(|ROW\('\w+', )'(\w+)'", written))
    assert deferred - set(jobs.all_tasks()) == set()
    assert set(jobs.TASKS) - deferred == set()


def test_money_is_never_a_float() -> None:
    found = [
        f"{named(file)}:{node.lineno}"
        for file in code("policies", "models", "payments", "journeys")
        for node in ast.walk(tree(file))
        if (isinstance(node, ast.Call) and _called(node) == "float")
        or (
            isinstance(node, ast.AnnAssign | ast.arg) and "fen" in _target(node) and _is_float(node)
        )
    ]
    assert found == []


def test_the_clock_is_injected() -> None:
    clocks = re.compile(r"datetime\.now\(|datetime\.utcnow\(|date\.today\(|time\.time\(")
    texts = {file: file.read_text("utf8") for file in code(*ROOMS, "jobs.py")}
    programs = {file for file, text in texts.items() if "__main__" in text}  # their own clock
    assert [named(f) for f in texts if f not in programs and clocks.search(texts[f])] == []


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_the_pins_are_those_that_were_asked_for(name: str) -> None:
    """Otherwise: make requirements."""
    asked = (ROOT / f"{name}.in").read_text("utf8").splitlines()
    wanted = {re.sub(r"\[.*\]", "", line).lower() for line in asked if line[:1].isalpha()}
    pinned = (ROOT / f"{name}.txt").read_text("utf8").lower()
    here = re.findall(
        rf"^([\w.-]+==\S+) (?:\\\n    --hash\S+ ?)+\n(?:    #.*\n)*?    #.*-r {name}\.in",
        pinned,
        re.M,
    )
    assert set(here) == wanted
    assert "index-url" not in pinned  # where this machine gets its packages is nobody's business


def test_no_path_of_a_machine() -> None:
    paths = re.compile(r"(?<![\w.])/(?:work|root|home)/\w")
    texts = files(".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".in", ".sql", ".html", "")
    found = [named(file) for file in texts if paths.search(file.read_text("utf8"))]
    assert found == []


def test_links_between_documents_lead_somewhere() -> None:
    links = re.compile(r"\]\((?!https?:)([^)#]+)")
    dead = [
        f"{named(file)} -> {target}"
        for file in files(".md")
        for target in links.findall(file.read_text("utf8"))
        if not (file.parent / target).exists()
    ]
    assert dead == []


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def _target(node: ast.AnnAssign | ast.arg) -> str:
    return node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)


def _is_float(node: ast.AnnAssign | ast.arg) -> bool:
    return node.annotation is not None and "float" in ast.unparse(node.annotation)
