"""The benchmark's worlds; its figures are printed by `signals benchmark loop`."""

from signals_assets.benchmarks.loop_diagnosis import NOTHING, PLANTS, live, named

BY_NAME = {plant.name: plant for plant in (*PLANTS, *NOTHING)}


def test_a_plant_makes_more_of_its_own_friction_only_and_the_same_seed_the_same_world():
    planted, again, plain = (
        live(BY_NAME[name], 3, 100)
        for name in ("release of a prompt", "release of a prompt", "context churn everywhere")
    )

    def share(world, type_):
        return sum(row["type"] == type_ for row in world.friction) / len(world.metrics)

    assert planted == again
    assert share(planted, "correction") > 1.2 * share(plain, "correction")
    assert share(planted, "context_churn") < share(plain, "context_churn") / 1.5


def test_a_planted_cause_is_named():
    assert named(BY_NAME["a tool nobody wants"], 0).lever == "wrong tool"
