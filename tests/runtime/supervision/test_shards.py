"""The mapping that is never changed."""

from runtime.supervision.shards import Shards

VALUES = {f"k{i}": i for i in range(300)}


def test_it_holds_what_it_was_made_of():
    shards = Shards.of(VALUES)

    assert dict(shards.items()) == VALUES
    assert sorted(shards.values()) == sorted(VALUES.values())
    assert len(shards) == 300
    assert shards.get("k7") == 7
    assert shards.get("none") is None
    assert "k7" in shards
    assert "none" not in shards


def test_put_and_drop_leave_the_old_one_as_it_was():
    shards = Shards.of(VALUES)

    changed = shards.put("k7", 0).put("new", 1).drop("k8")

    assert dict(shards.items()) == VALUES
    assert dict(changed.items()) == {**{k: v for k, v in VALUES.items() if k != "k8"}, "k7": 0, "new": 1}
    assert len(changed) == 300
