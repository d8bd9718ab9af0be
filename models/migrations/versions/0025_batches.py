"""A batch of charge lines is one statement; a line taken before is compared with the stored one.

The hash of a batch is made otherwise than before: one that came before this and comes again under
its number is refused; under a new number its lines are duplicates.
"""

from models.migrations.sql_files import run_files

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    run_files("0052_batches.sql")
