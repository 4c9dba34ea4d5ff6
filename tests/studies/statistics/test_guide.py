import doctest
import re
from pathlib import Path

import fusionseg
from fusionseg.studies import statistics

GUIDE = Path(fusionseg.__file__).parents[1] / "docs" / "statistics.md"


def test_every_number_of_the_guides_examples_is_computed() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    examples = "\n".join(re.findall(r"^```pycon\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    test = doctest.DocTestParser().get_doctest(examples, {}, GUIDE.name, str(GUIDE), 0)
    assert len(test.examples) >= 10
    failed, _ = doctest.DocTestRunner().run(test)
    assert not failed


def test_the_guide_names_functions_that_exist() -> None:
    table = GUIDE.read_text(encoding="utf-8").split("\n\n## ")[0]
    named = {
        name for row in table.splitlines() if row.startswith("|") for name in re.findall(r"`(\w+)`", row)
    }
    assert len(named) > 10
    assert named <= set(statistics.__all__)
