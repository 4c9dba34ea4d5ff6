from fusionseg.data.download_parts import DownloadPart, shortfalls


def test_only_what_is_missing_of_a_download_is_said() -> None:
    parts = [
        DownloadPart("a.zip", "photos of val", 300, 500),
        DownloadPart("b.zip", "label files of val", 500, 500, ", so that nothing fits"),
        DownloadPart("c.zip", "frames", 1200, 2975, ", so that nothing fits"),
    ]
    assert list(shortfalls(parts)) == [
        "a.zip: 300 of 500 photos of val: unpack or download it again, unless you want a part of it",
        "c.zip: 1,200 of 2,975 frames, so that nothing fits: unpack or download it again, unless you want a part "
        "of it",
    ]
