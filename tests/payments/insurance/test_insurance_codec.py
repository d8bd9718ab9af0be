"""The message tables: what goes out, what comes in, and what provinces do differently."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from payments.insurance import codec
from payments.insurance.profile import load
from policies.refusals import Refused

SPOKEN = sorted(load("tif-chongqing").paths)
NOON_UTC = datetime(2025, 7, 1, 4, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize("infno", SPOKEN)
def test_every_transaction_has_a_table(infno: str) -> None:
    known = codec.table(infno)
    assert known.inputs
    for node in [*known.inputs.values(), *known.outputs.values()]:
        names = [field.name for field in node.fields]
        assert len(names) == len(set(names)), node.name


def test_a_transaction_we_do_not_speak() -> None:
    with pytest.raises(KeyError):
        codec.table("4101")


def test_empty_numbers_are_zero_and_other_empties_are_empty() -> None:
    built = codec.build("2601", data={"psn_no": "P1", "omsgid": "M1", "oinfno": "2304"})
    assert built == {"data": {"psn_no": "P1", "omsgid": "M1", "oinfno": "2304"}}
    built = codec.build(
        "3201",
        data={
            "insutype": "390",
            "clr_type": "21",
            "setl_optins": "990100",
            "stmt_begndate": date(2025, 7, 1),
            "stmt_enddate": date(2025, 7, 1),
            "medfee_sumamt": Decimal("1.5"),
            "fund_pay_sumamt": Decimal(0),
            "acct_pay": Decimal(0),
            "fixmedins_setl_cnt": 0,
            "fixmedins_refd_setl_flag": "0",
        },
    )["data"]
    assert built["medfee_sumamt"] == "1.50"
    assert built["fund_pay_sumamt"] == "0.00"
    assert built["fixmedins_setl_cnt"] == "0"
    assert built["refd_setl_flag"] == ""
    assert built["stmt_begndate"] == "2025-07-01"


def test_moments_are_shanghai_time_and_scales_are_the_tables() -> None:
    row = {
        "feedetl_sn": "7",
        "mdtrt_id": "M",
        "psn_no": "P",
        "med_type": "21",
        "fee_ocur_time": NOON_UTC,
        "med_list_codg": "X",
        "medins_list_codg": "Y",
        "det_item_fee_sumamt": Decimal("-3.6"),
        "cnt": Decimal("-4"),
        "pric": Decimal("0.9"),
        "bilg_dept_codg": "A",
        "bilg_dept_name": "A",
        "bilg_dr_codg": "A",
        "bilg_dr_name": "A",
    }
    (built,) = codec.build("2301", feedetail=[row])["feedetail"]
    assert built["fee_ocur_time"] == "2025-07-01 12:00:05"
    assert (built["det_item_fee_sumamt"], built["cnt"], built["pric"]) == (
        "-3.60",
        "-4.0000",
        "0.900000",
    )
    assert built["init_feedetl_sn"] == ""


def test_a_missing_fact_is_named_in_chinese() -> None:
    with pytest.raises(Refused) as refusal:
        codec.build("2404", data={"mdtrt_id": "M1", "psn_no": ""})
    assert refusal.value.code == "INSURANCE_FACT_MISSING"
    assert refusal.value.facts == {"field": "人员编号 psn_no"}


def test_a_key_the_table_lacks_goes_out_unchanged() -> None:
    built = codec.build("2404", data={"mdtrt_id": "M", "psn_no": "P", "local_key": "7"})
    assert built["data"]["local_key"] == "7"


@pytest.mark.parametrize("output", [None, {}, "", {"result": None}])
def test_no_output_is_no_rows(output: object) -> None:
    assert codec.parse("2301", output) == {"result": []}
    assert codec.parse("2402", output) == {}


def test_numbers_come_back_as_decimals_however_they_were_sent() -> None:
    head = {"medfee_sumamt": "12.30", "hifp_pay": Decimal("2.50"), "balc": 3, "oth_pay": None}
    read = codec.parse("2304", {"setlinfo": head, "setldetail": []})["setlinfo"]
    assert (read["medfee_sumamt"], read["hifp_pay"]) == (Decimal("12.30"), Decimal("2.50"))
    assert (read["balc"], read["oth_pay"], read["maf_pay"]) == (Decimal(3), Decimal(0), Decimal(0))


def test_aliases_fill_only_what_is_empty_and_unknown_keys_stay() -> None:
    head = {
        "psn_part_amt": None,
        "psn_pay": "-1307.01",
        "hosp_part_amt": "",
        "ownpay_hosp_part": "-32.86",
        "psn_cash_pay": "5.00",
        "cash_payamt": "9.00",
        "expContent": "{}",
        "dedc_std": "800",
    }
    read = codec.parse("2305", {"setlinfo": head})["setlinfo"]
    assert read["psn_part_amt"] == Decimal("-1307.01")
    assert read["hosp_part_amt"] == Decimal("-32.86")
    assert read["psn_cash_pay"] == Decimal("5.00")
    assert (read["exp_content"], read["dedc_std"]) == ("{}", "800")


def test_5203_names_the_personal_share_otherwise() -> None:
    head = {"psn_pay": "10.00", "cash_payamt": "4.00"}
    read = codec.parse("5203", {"setlinfo": head, "setldetail": []})["setlinfo"]
    assert (read["psn_part_amt"], read["psn_cash_pay"]) == (Decimal("10.00"), Decimal("4.00"))


def test_one_row_may_come_where_a_list_is_told_and_a_list_where_one_is() -> None:
    assert codec.parse("3201", {"stmtinfo": {"stmt_rslt": 0}})["stmtinfo"] == [{"stmt_rslt": "0"}]
    assert codec.parse("2401", {"result": [{"mdtrt_id": 77}]})["result"]["mdtrt_id"] == "77"


def test_an_output_without_a_node_is_the_row_itself() -> None:
    read = codec.parse("9101", {"file_qury_no": "F1", "filename": "a.zip"})
    assert read[""]["file_qury_no"] == "F1"


@pytest.mark.parametrize(
    "wrong", [{"setlinfo": "x"}, {"setlinfo": {"hifp_pay": "1,5"}}, {"setlinfo": {"balc": "NaN"}}]
)
def test_what_cannot_be_read_is_said(wrong: dict) -> None:
    with pytest.raises(codec.Unreadable):
        codec.parse("2304", wrong)


def test_files_are_tab_separated_in_table_order_with_null_for_nothing() -> None:
    row = {"setl_id": "S1", "mdtrt_id": "", "psn_no": "P", "medfee_sumamt": Decimal("1.5")}
    text = codec.text_rows("3202", "file_in", [row])
    assert text == "S1\tnull\tP\t1.50\t0\t0\tnull\n"
    read = codec.rows_of_text(
        "3202", "file_out", "P\tnull\tnull\tM9\t1\t0\tnull\t10.00\t6.00\t0.00\n\n"
    )
    assert read[0]["msgid"] == "M9" and read[0]["setl_id"] == "" and len(read) == 1
    with pytest.raises(codec.Unreadable):
        codec.rows_of_text("3202", "file_out", "P\tM\n")


def test_the_platforms_clock_is_shanghais() -> None:
    assert codec.local_time("2025-07-01 12:00:05") == NOON_UTC
    with pytest.raises(codec.Unreadable):
        codec.local_time("01.07.2025")
