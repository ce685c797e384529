from vinsat_sim.experiments.stored import Store


def test_a_result_is_found_again_by_its_recipe_alone(tmp_path):
    store = Store(tmp_path / "a")
    store.put("one", "recipe", {"value": 1.5})
    store.put("two", "recipe", {"value": 2.5})
    assert store.get("one", "recipe") == {"value": 1.5}
    assert store.get("one", "another") is None
    assert store.get("three", "recipe") is None


def test_an_altered_result_is_not_believed(tmp_path):
    store = Store(tmp_path)
    store.put("one", "recipe", {"value": 1.5})
    path = tmp_path / "one.json"
    path.write_text(path.read_text().replace("1.5", "9.5"))
    assert store.get("one", "recipe") is None
