"""Our direct use of MuJoCo beside the packages' own environments, where they are."""

import numpy as np
import pytest

from stitchrl import zoo
from stitchrl.rollout import play
from stitchrl.zoo import ogbench, packages, pointmaze
from stitchrl.zoo.hopper import Hopper
from stitchrl.zoo.mazes import LARGE, MEDIUM, UMAZE
from stitchrl.zoo.uniform import Uniform
from stitchrl.zoo.walkers import Walkers

pytestmark = [
    pytest.mark.skipif(
        bool(packages.missing(packages.PINNED)),
        reason="simulators are not installed: pip install 'stitchrl[zoo]'",
    ),
    # Of packages that are not ours.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]
ONE = np.array([0])
MAZES = {"U_MAZE": UMAZE, "MEDIUM_MAZE": MEDIUM, "LARGE_MAZE": LARGE}


@pytest.mark.parametrize("name", MAZES)
def test_pointmaze_agrees_step_for_step(name):
    maps = packages.module("gymnasium_robotics.envs.maze.maps")
    module = packages.module("gymnasium_robotics.envs.maze.point_maze")
    maze = MAZES[name]
    assert [[int(s == "#") for s in row] for row in maze.rows] == getattr(maps, name)
    theirs = module.PointMazeEnv(maze_map=getattr(maps, name), reset_target=False)
    ours = pointmaze.PointMaze(maze)
    center, *_ = theirs.maze.unique_reset_locations
    np.testing.assert_allclose(maze.centers[0], center)
    rng = np.random.default_rng(0)
    for seed in range(3):
        seen = theirs.reset(seed=seed)[0]["observation"]
        ours.place(seen[None, :2], seen[None, 2:])
        for step in range(600):  # Along walls and into corners, at full speed.
            if step % 40 == 0:
                push = rng.uniform(-2, 2, 2)
            action = (push + 0.3 * rng.standard_normal(2)).astype(np.float32)
            seen = theirs.step(action)[0]["observation"]
            found = ours.step(ONE, action[None])
            assert np.array_equal(found.observation[0], seen.astype(np.float32)), step


def test_hopper_agrees_step_for_step():
    theirs = packages.module("gymnasium").make("Hopper-v4").unwrapped
    ours, rng, falls = Hopper(), np.random.default_rng(0), 0
    for seed in range(10):
        theirs.reset(seed=seed)
        ours.place(theirs.data.qpos[None].copy(), theirs.data.qvel[None].copy())
        for _ in range(300):
            action = rng.uniform(-1, 1, 3).astype(np.float32) * (seed % 2 * 0.9 + 0.1)
            seen, reward, fell, _, _ = theirs.step(action)
            found = ours.step(ONE, action[None])
            assert np.array_equal(found.observation[0], seen.astype(np.float32))
            assert found.reward[0] == reward and found.terminated[0] == fell
            if fell:
                falls += 1
                break
    assert falls > 5


def test_ogbench_agrees_step_for_step_and_so_do_its_shortest_paths():
    point, maze = ogbench.OGPoint(ogbench.MEDIUM), ogbench.MEDIUM
    theirs = packages.module("ogbench.locomaze.maze").make_maze_env(
        "point",
        "maze",
        maze_type="medium",
        reward_task_id=1,
        add_noise_to_goal=False,
        success_timing="pre",
    )
    assert theirs.maze_map.tolist() == [[int(s == "#") for s in r] for r in maze.rows]
    rng = np.random.default_rng(0)
    for seed in range(4):
        seen = theirs.reset(seed=seed)[0]
        if seed == 3:  # Around the goal, where rewards change.
            theirs.set_xy(np.array([19.0, 19.0]))
            seen = theirs.get_ob()
        point.place(seen[None])
        for step in range(300):
            if step % 30 == 0:
                push = rng.uniform(-1.5, 1.5, 2)
            action = np.clip(push + 0.3 * rng.standard_normal(2), -1, 1).astype(np.float32)
            seen, reward, succeeded, _, _ = theirs.step(action)
            found = point.step(ONE, action[None])
            assert np.array_equal(found.observation[0], seen.astype(np.float32))
            assert found.reward[0] == reward and found.terminated[0] == succeeded
    for start, center in enumerate(maze.centers):
        for goal, there in enumerate(maze.centers):
            nearer = maze.cell_of(theirs.get_oracle_subgoal(center, there)[0][None])
            ours = maze.following[start, goal]
            assert maze.distances[nearer[0], goal] == maze.distances[ours, goal]


@pytest.mark.parametrize("name", ["umaze", "medium", "large"])
def test_references_of_pointmaze(name):
    scale = zoo.find(f"pointmaze-{name}").scale
    maze = {"umaze": UMAZE, "medium": MEDIUM, "large": LARGE}[name]
    place = pointmaze.PointMaze(maze)
    errands = pointmaze.Errands(place, maze, is_fixed=True)
    settings = {"episodes": 30, "max_steps": pointmaze.MAX_STEPS, "seed": 1}
    for players, where, known in [
        (Uniform(2), place, scale.zero),
        (Walkers(maze, noise=0.0), errands, scale.hundred),
    ]:
        returns = play(players, where, **settings).returns
        assert abs(returns.mean() - known) < 4 * returns.std() / 30**0.5


@pytest.mark.parametrize("name", [name for name in zoo.ENTRIES if name != "icu-sepsis"])
def test_every_log_is_made_as_promised(name):
    entry = zoo.find(name)
    log = entry.make()
    assert log.size == entry.rows
    entry.require_alike(log)
