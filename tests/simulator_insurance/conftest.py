"""The simulator as a process of its own, with one hospital at each kind of gateway."""

from collections.abc import Iterator

import pytest
from sim_insurance_client import CODES, Office, Platform, Stay

from tests.sim_process import HOSPITALS, running

SPARE = {"GZ": "csb-guizhou", "CQ": "tif-chongqing"}
SPARES = [f"{area}{number}" for area in SPARE for number in range(10, 15)]
UNUSED = {area: iter([code for code in SPARES if code.startswith(area)]) for area in SPARE}


@pytest.fixture(scope="session")
def connections() -> Iterator[dict]:
    """What the application would be told; the simulator runs until the end of the session."""
    spare = [f"{code}:备用医院{code}:{SPARE[code[:2]]}" for code in SPARES]
    with running(hospitals=(*HOSPITALS, *spare)) as simulator:
        yield {code: simulator.connections(code) for code in (*CODES, *SPARES)}


@pytest.fixture(params=CODES)
def platform(request: pytest.FixtureRequest, connections: dict) -> Iterator[Platform]:
    """The platform of either profile, healthy before and after."""
    yield from _healthy(Platform(request.param, connections[request.param]["insurance"]))


@pytest.fixture(params=list(SPARE))
def fresh(request: pytest.FixtureRequest, connections: dict) -> Iterator[Platform]:
    """A hospital that nobody used before, of whose settlements we know every one."""
    code = next(UNUSED[request.param])
    yield from _healthy(Platform(code, connections[code]["insurance"]))


@pytest.fixture
def guizhou(connections: dict) -> Iterator[Platform]:
    yield from _healthy(Platform("GZ01", connections["GZ01"]["insurance"]))


@pytest.fixture
def chongqing(connections: dict) -> Iterator[Platform]:
    yield from _healthy(Platform("CQ01", connections["CQ01"]["insurance"]))


@pytest.fixture
def stay(platform: Platform) -> Stay:
    """A resident, admitted yesterday, nothing charged yet."""
    return Stay.of_new_person(platform)


@pytest.fixture
def office(connections: dict) -> Iterator[Office]:
    """The medical-aid office of the hospital in Guizhou."""
    yield from _healthy(Office(connections["GZ01"]["medical_aid"]))


def _healthy(other_side):
    other_side.control("DELETE", "/_sim/faults")
    yield other_side
    other_side.control("DELETE", "/_sim/faults")
    other_side.close()
