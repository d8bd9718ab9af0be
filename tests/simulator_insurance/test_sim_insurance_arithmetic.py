"""I1 to I8 for any lines and any person, in whole fen: on the pure parts and over the wire."""

from decimal import Decimal

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sim_insurance_client import Stay
from test_sim_insurance_settlements import FUNDS, amounts, assert_invariants

from simulator.insurance.benefits import Insured, split_stay
from simulator.insurance.lines import NO_CEILING, Item, Parts, charged, given_back

prices = st.decimals(Decimal("0"), Decimal("9999.999999"), places=6)
counts = st.decimals(Decimal("0.0001"), Decimal("500"), places=4)
shares = st.sampled_from(["0", "0.05", "0.1", "0.2", "0.333", "0.9999", "1"]).map(Decimal)
yuan = st.decimals(Decimal("0"), Decimal("400000"), places=2)
items = st.builds(
    Item,
    chrgitm_lv=st.sampled_from(["01", "02", "03"]),
    selfpay_prop=shares,
    pric_uplmt_amt=st.one_of(st.just(NO_CEILING), prices),
)
people = st.builds(
    Insured,
    insutype=st.sampled_from(["310", "390", "340"]),
    civil_servant=st.booleans(),
    identities=st.frozensets(st.sampled_from(["2301", "2302", "2303", "2305", "2308"]), max_size=3),
    balance=yuan,
    family_balance=yuan,
    fixed=st.one_of(
        st.just({}),
        st.dictionaries(
            st.sampled_from([*FUNDS, "acct_pay", "hosp_part_amt"]), yuan.map(str), max_size=4
        ),
    ),
    pays_nothing=st.booleans(),
)


def fen(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), "ROUND_HALF_UP")


def assert_parts(parts: Parts) -> None:
    """I5, every part whole fen and none of another sign than the line."""
    four = (parts.fulamt_ownpay, parts.overlmt, parts.preselfpay, parts.inscp)
    assert sum(four) == parts.det
    assert all(part * parts.det >= 0 and part == fen(part) for part in four)


@given(items, counts, prices)
def test_i5_of_a_line(item, cnt, pric):
    assert_parts(charged(item, fen(cnt * pric), cnt, pric))


@example(Item("02", Decimal("0.05")), 4, Decimal("0.10"), [1, 1, 1, 1])
@example(Item("02", Decimal("0.4")), 4, Decimal("0.01"), [1, 1, 1, 1])
@given(items, st.integers(1, 30), prices, st.lists(st.integers(1, 30), max_size=6))
def test_i5_of_returns_and_nothing_below_zero(item, cnt, pric, returns):
    left = charged(item, fen(cnt * pric), Decimal(cnt), pric)
    remaining = cnt
    for back in returns:
        det = fen(back * pric)
        if back > remaining or det > left.det:
            continue
        parts = given_back(item, det, Decimal(back), pric, left)
        assert_parts(parts)
        assert parts.det == -det
        left, remaining = left + parts, remaining - back
        assert_parts(left)
        assert left.det >= 0
        if not left.det:
            assert left == Parts()


@given(
    st.lists(st.tuples(items, counts, prices), min_size=1, max_size=12),
    people,
    st.sampled_from(["0", "1", "2"]),
    st.sampled_from(["0", "0.5", "1"]).map(Decimal),
)
def test_i1_to_i4_and_i6_of_a_stay(lines, person, flag, borne):
    each = [charged(item, fen(cnt * pric), cnt, pric) for item, cnt, pric in lines]
    total = sum(each, Parts())
    got = split_stay(total, person, flag, borne)
    assert got["medfee_sumamt"] == (
        got["fund_pay_sumamt"] + got["psn_part_amt"] + got["hosp_part_amt"]
    )
    assert got["fund_pay_sumamt"] == sum(got[name] for name in FUNDS)
    assert got["psn_part_amt"] == got["acct_pay"] + got["psn_cash_pay"]
    assert got["medfee_sumamt"] == (
        got["fulamt_ownpay_amt"]
        + got["overlmt_selfpay"]
        + got["preselfpay_amt"]
        + got["inscp_scp_amt"]
    )
    assert got["inscp_scp_amt"] == sum(parts.inscp for parts in each)
    assert got["medfee_sumamt"] == sum(parts.det for parts in each)
    assert all(value >= 0 and value == fen(value) for value in got.values())
    assert got["acct_mulaid_pay"] <= got["acct_pay"]
    own = got["acct_pay"] - got["acct_mulaid_pay"]
    assert got["balc"] == person.balance - own
    if not person.fixed:
        assert got["fund_pay_sumamt"] <= got["inscp_scp_amt"]


codes = st.sampled_from(["001203000010000", "XB01", "C0101", "QQ77", "001109000010000", "0021"])
small = st.decimals(Decimal("0"), Decimal("3000"), places=2)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.lists(st.tuples(codes, small, st.integers(1, 9)), min_size=1, max_size=8),
    insutype=st.sampled_from(["310", "390"]),
    idets=st.lists(st.sampled_from(["2302", "2303", "2304"]), max_size=2),
    flag=st.sampled_from(["0", "1"]),
    data=st.data(),
)
def test_i1_to_i8_over_the_wire(platform, lines, insutype, idets, flag, data):
    rows = [{"psn_idet_type": kind} for kind in idets]
    stay = Stay.of_new_person(platform, insutype, idetinfo=rows, balc="321.09")
    charges = [stay.charge(str(price), code, str(cnt)) for code, price, cnt in lines]
    answered = stay.upload(*charges)
    first = charges[0]
    back = data.draw(st.integers(0, int(first["cnt"])))
    if back:
        sn = first["feedetl_sn"]
        line = stay.charge(first["pric"], lines[0][0], f"-{back}", init_feedetl_sn=sn)
        answered += stay.upload(line)
    settled = stay.settle(acct_used_flag=flag)
    assert_invariants(settled)
    heads = ("fulamt_ownpay_amt", "preselfpay_amt", "inscp_scp_amt")
    for name in heads:
        assert amounts(settled, name) == [str(sum(Decimal(row[name]) for row in answered))]
    undone = stay.must("2305", stay.about(setl_id=stay.setl_id)).output
    assert_invariants(undone)
    for name in (*heads, "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_cash_pay"):
        assert Decimal(undone["setlinfo"][name]) == -Decimal(settled["setlinfo"][name])
