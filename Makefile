# Python, pip, make and git are enough: everything else comes from the pinned requirements.

PYTHON ?= python3
BIN := .venv/bin/python
PIP := $(BIN) -m pip install --quiet --disable-pip-version-check --require-hashes
COMPILE := $(BIN) -m piptools compile --quiet --strip-extras --generate-hashes --allow-unsafe \
	--no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

# A module stays with one worker, with the servers that it started, until the other has nothing left.
TEST := $(BIN) -m pytest -n 2 --dist worksteal

# What has a long form. Two processes share the files, so the longest come first.
FUZZED := tests/journeys/test_money_histories.py tests/journeys/test_clearance_histories.py \
	tests/api/test_fuzz.py tests/journeys/test_payments_race_refunds.py \
	tests/notifications/test_bad_carrier.py tests/journeys/test_notices_repeated.py \
	tests/journeys/test_daily_bill_histories.py tests/models/test_ledger_histories.py \
	tests/api/test_access_matrix.py tests/payments/insurance/test_insurance_rounding.py \
	tests/api/test_guessing.py tests/api/test_replays.py tests/api/test_forged_notices.py \
	tests/api/test_bad_tokens.py tests/payments/test_many_differences.py

PRODUCT := api journeys models notifications payments policies $(wildcard *.py)

.DEFAULT_GOAL := help
.PHONY: help demo run migrate worker verify-audit test prove prove-secrets drill fuzz clauses bench check sbom audit format requirements

help: ## This list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 16

demo: .venv/ready ## A made-up hospital, a stay and the clearance of old cards, then it keeps serving. ONCE=1 ends after the play, DATE=2025-12-20 rehearses that day
	@$(BIN) local.py demo $(if $(DATE),--date $(DATE)) $(if $(ONCE),--once)

run: .venv/ready ## The same without the play: PostgreSQL, Valkey, the simulator, API and worker on this machine
	@$(BIN) local.py run $(if $(DATE),--date $(DATE))

migrate: .venv/ready ## Bring the database at DATABASE_URL to this version
	$(BIN) -m alembic upgrade head

worker: .venv/ready ## One more worker for the database at DATABASE_URL
	$(BIN) -m jobs

verify-audit: .venv/ready ## HOSPITAL=code: is the audit trail whole, by itself and by AUDIT_ANCHOR_FILE? ANCHOR=NO:HASH: by an earlier run too
	@$(BIN) -m flask --app wsgi audit verify --hospital $(HOSPITAL) $(if $(ANCHOR),--anchor $(ANCHOR))

test: .venv/ready-to-develop ## All tests, then the clause table. XIANZHEN_POSTGRES=system takes the machine's PostgreSQL
	$(TEST) --clauses $(ARGS)

prove: .venv/ready-to-develop ## Kill, cut and delay everything under random stays; writes docs/reliability.md. ARGS="stays --seed 7 --operations 500"
	@$(BIN) -m tests.prove $(ARGS)

prove-secrets: .venv/ready-to-develop ## Long: 1,000 people searched for on every disk, a key retired under kills, 1,000 tamperings; rows in docs/reliability.md
	@$(BIN) -m tests.prove.at_rest $(ARGS)

drill: .venv/ready-to-develop ## Lose a database among money movements, restore it to a moment, examine everything; rows in docs/reliability.md
	@$(BIN) -m tests.prove.drill $(ARGS)

clauses: .venv/ready-to-develop ## Only the tests that prove a clause of the law, and the table
	$(TEST) --clauses -m clause

bench: .venv/ready-to-develop ## Every figure of docs/performance.md. ONLY=a,c takes some, SHORT=1 few rounds, WRITE=1 renews the page
	@$(BIN) -m tests.benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(SHORT),--short) $(if $(WRITE),--write)

fuzz: .venv/ready-to-develop ## Anything at all, forged, replayed, raced and guessed, in great numbers; writes its rows of docs/reliability.md. SEED=n
	FUZZ=1 $(if $(SEED),SEED=$(SEED)) $(BIN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(FUZZED)

check: .venv/ready-to-develop ## ruff with the security rules, bandit, mypy, import directions, one migration head, house rules
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(BIN) -m bandit --quiet --configfile pyproject.toml --recursive $(PRODUCT)
	$(BIN) -m mypy
	$(BIN) -m pytest tests/test_house.py tests/test_security_page.py

sbom: .venv/ready-to-develop ## The bill of materials of requirements.txt, CycloneDX, in var/sbom.json
	@$(BIN) -m tests.supply.sbom

audit: .venv/ready-to-develop ## Known holes in requirements.txt; fails where nothing could be audited. FEED=https://… asks a mirror of OSV
	@$(BIN) -m tests.supply.audit $(FEED)

format: .venv/ready-to-develop ## Format, and mend what ruff can mend
	$(BIN) -m ruff check --fix .
	$(BIN) -m ruff format .

requirements: .venv/ready-to-develop ## Pin again, after editing requirements.in or requirements-dev.in
	$(COMPILE) -o requirements.txt requirements.in
	$(COMPILE) -o requirements-dev.txt requirements-dev.in

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13, please")'
	$(PYTHON) -m venv .venv

.venv/ready: requirements.txt | .venv/bin/python
	$(PIP) -r requirements.txt
	@touch $@

.venv/ready-to-develop: requirements-dev.txt | .venv/bin/python
	$(PIP) -r requirements-dev.txt
	@touch $@ .venv/ready
