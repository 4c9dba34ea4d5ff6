import subprocess
import sys
from dataclasses import fields, is_dataclass

from fusionseg.studies import statistics


def test_every_export_exists_and_is_described() -> None:
    for name in statistics.__all__:
        assert getattr(statistics, name).__doc__


def test_results_cannot_be_changed() -> None:
    results = [value for name in statistics.__all__ if is_dataclass(value := getattr(statistics, name))]
    assert len(results) == 9
    for kind in results:
        assert kind.__dataclass_params__.frozen, kind  # type: ignore[union-attr]
        assert all(field.name in (kind.__doc__ or "") for field in fields(kind)), kind


def test_the_statistics_load_neither_torch_nor_pandas() -> None:
    code = "import sys, fusionseg.studies.statistics; print(sorted({'torch', 'pandas', 'lightning'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
