from pathlib import Path

from fusionseg.studies.search.curves import Curve, mean_curve

HEADER = "epoch,step,train/loss,val/miou\n"


def test_a_curve_grows_with_its_file_and_waits_for_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    curve = Curve(path, "val/miou")
    assert not curve.grew()
    path.write_text(HEADER + "0,9,1.5,\n0,9,,0.25\n1,19,1.2,\n1,19,,0.3")
    assert curve.grew()
    assert curve.values == {0: 0.25}
    assert not curve.grew()
    with path.open("a") as file:
        file.write("75\n")
    assert curve.grew()
    assert curve.values == {0: 0.25, 1: 0.375}


def test_a_file_without_the_figure_or_with_damage_has_no_curve(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/loss\n0,9,1.5\n")
    assert not Curve(path, "val/miou").grew()
    path.write_text(HEADER + "\nx,y,,high\n,,,0.5\n\0\n")
    assert not Curve(path, "val/miou").grew()


def test_the_mean_is_of_the_seeds_that_have_come_so_far() -> None:
    assert mean_curve([{0: 0.25, 1: 0.5, 2: 0.75}, {0: 0.75, 1: 1.0}, {}]) == {0: 0.5, 1: 0.75, 2: 0.75}
