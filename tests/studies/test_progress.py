from fusionseg.studies.progress import Progress


def test_the_best_is_the_highest_mean_or_the_lowest() -> None:
    scores = {"a": [0.2, 0.4], "b": [0.5]}
    assert Progress(3, scores=scores).best() == ("b", 0.5)
    best = Progress(3, lower_is_better=True, scores=scores).best()
    assert best is not None
    assert best[0] == "a"
    assert Progress(3).best() is None


def test_scores_of_different_tasks_have_no_best() -> None:
    tasks = {frozenset({"miou"}), frozenset({"miou", "covering"})}
    assert Progress(2, scores={"joint": [0.5], "single": [0.9]}, tasks=tasks).best() is None


def test_the_time_left_is_that_of_the_runs_to_come() -> None:
    assert Progress(4).seconds_left(2) is None
    assert Progress(4, finished=1, pruned=["x"], durations=[10.0]).seconds_left(2) == 10.0
