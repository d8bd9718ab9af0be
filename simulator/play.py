"""The whole demonstration: a stay, then the clearance of old cards, played over public HTTP by
those who live them.

``python -m simulator.play --scene FILE`` prints what each person sees and ends with 0 only if every
step and every balance was right.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from simulator.clients import Answered
from simulator.play_clearance import Clearance
from simulator.play_house import House, Wrong, say
from simulator.play_stay import Stay

Step = tuple[str, Callable[[], None]]


def main() -> int:
    """Play the scene; 0 if all of it was right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", type=Path, required=True)
    scene = json.loads(parser.parse_args().scene.read_text("utf8"))
    try:
        house = House(scene)
        act("第一幕：一次住院  act one: a stay", Stay(house).steps())
        act("第二幕：清退旧卡余额  act two: the clearance", Clearance(house).steps())
    except (Wrong, Answered) as wrong:
        say.print(f"✗ {wrong}", style="bold red", markup=False)
        return 1
    say.print("[bold green]✓ 全部步骤和余额都正确  every step and every balance was right[/]")
    return 0


def act(title: str, steps: tuple[Step, ...]) -> None:
    """Play one act, step by step."""
    say.rule(f"[bold magenta]{title}", characters="═")
    for number, (name, step) in enumerate(steps, 1):
        say.rule(f"[bold]{number}. {name}")
        step()


if __name__ == "__main__":
    sys.exit(main())
