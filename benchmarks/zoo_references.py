"""What scores 0 and 100 in the mazes of the zoo: random actions, and a waypoint controller.

    python benchmarks/zoo_references.py

Needs the simulators: pip install 'stitchrl[zoo]'. Some minutes. The numbers stand in
src/stitchrl/zoo/registry.py and docs/zoo.md.
"""

from stitchrl import zoo
from stitchrl.rollout import play
from stitchrl.zoo.mazes import LARGE, MEDIUM, UMAZE
from stitchrl.zoo.pointmaze import MAX_STEPS, Errands, PointMaze
from stitchrl.zoo.uniform import Uniform
from stitchrl.zoo.walkers import Walkers

EPISODES, SEED = 1000, 12345


def main() -> None:
    for name, maze in {"umaze": UMAZE, "medium": MEDIUM, "large": LARGE}.items():
        place, scale = PointMaze(maze), zoo.find(f"pointmaze-{name}").scale
        for players, where, known in (
            (Uniform(2), place, scale.zero),
            (Walkers(maze, noise=0.0), Errands(place, maze, is_fixed=True), scale.hundred),
        ):
            rows = play(players, where, episodes=EPISODES, max_steps=MAX_STEPS, seed=SEED)
            error = rows.returns.std(ddof=1) / EPISODES**0.5
            print(f"{name}: {rows.returns.mean():.1f} +- {error:.1f}, shipped {known}")


if __name__ == "__main__":
    main()
