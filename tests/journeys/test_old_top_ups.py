"""Old top-ups that came after collecting had to stop stand in the compliance list (GZ-6)."""

from datetime import UTC, date, datetime

import pytest

from journeys import stop_report
from tests.old_dump import an_office


@pytest.mark.clause("GZ-6", "T8")
def test_an_old_top_up_after_the_national_stop_is_listed(engine, tmp_path):
    office = an_office(tmp_path / "dump")
    office.write(
        accounts=[["A", "300.00", "", ""]],
        top_ups=[
            ["T1", "A", "100.00", "2025-03-30 23:59:59", "现金", ""],
            ["T2", "A", "200.00", "2025-04-10 00:00:00", "现金", ""],
        ],
    )
    made = office.imported()
    listed = stop_report.top_ups_after_stop(office.checker)
    assert listed["since"] == date(2025, 3, 31)
    assert listed["by_ground"] == [{"ground": "NONE", "top_ups": 1, "fen": 20_000}]
    assert listed["top_ups"] == [
        {
            "order_id": None,
            "import_id": made["id"],
            "row_no": 3,
            "paid_at": datetime(2025, 4, 9, 16, tzinfo=UTC),
            "amount_fen": 20_000,
            "route": "CASH",
            "filing_id": None,
            "ground": "NONE",
            "after": date(2025, 3, 31),
        }
    ]
