from fusionseg.data.palette import color


def test_classes_of_a_data_set_have_colors_of_their_own() -> None:
    colors = [color(index) for index in range(255)]
    assert len(set(colors)) == 255
    assert all(0 <= value <= 255 for rgb in colors for value in rgb)


def test_neighbors_look_different() -> None:
    assert all(sum(abs(a - b) for a, b in zip(color(i), color(i + 1), strict=True)) > 60 for i in range(200))
