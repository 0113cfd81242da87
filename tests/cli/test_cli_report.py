"""`flexeval report`: a page for good runs, one line for what cannot be one."""

from __future__ import annotations

from flexeval.cli.main import main


def test_it_writes_one_file_and_says_where(bigram, in_tmp, capsys):
    assert (
        main(
            [
                "passk",
                "--task",
                "word-problems",
                "--order",
                "ar",
                "--limit",
                "2",
                "--num-samples",
                "2",
                "--gen-length",
                "12",
            ]
        )
        == 0
    )
    capsys.readouterr()
    assert main(["report", "runs", "-o", "page.html"]) == 0
    assert capsys.readouterr().out == "page.html\n"
    page = (in_tmp / "page.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n") and "word-problems" in page
    assert sorted(path.name for path in in_tmp.iterdir()) == ["page.html", "runs"]


def test_a_bundle_is_a_folder_and_not_beside_a_page(bigram, in_tmp, capsys, refused):
    made = ["passk", "--task", "word-problems", "--order", "ar", "--limit", "2", "--num-samples", "2"]
    assert main([*made, "--gen-length", "12"]) == 0
    capsys.readouterr()
    assert main(["report", "runs", "--bundle", "site"]) == 0
    names = capsys.readouterr().out.split()
    assert names[0] == "site/index.html" and all((in_tmp / name).is_file() for name in names)
    assert "not allowed with" in refused("report", "runs", "--bundle", "site", "-o", "page.html")
    (in_tmp / "file").touch()
    assert "'file'" in refused("report", "runs", "--bundle", "file")


def test_what_cannot_be_reported_is_refused_in_one_line(in_tmp, refused):
    (in_tmp / "empty").mkdir()
    assert "no run in 'empty'" in refused("report", "empty")
    assert "no folder 'missing'" in refused("report", "empty", "-o", "missing/page.html")
    assert "--help" in refused("report")
    assert list(in_tmp.iterdir()) == [in_tmp / "empty"]
