"""`stitchrl validate`: findings as a table or JSON, and exit codes."""

from cli.conftest import call, document

HEADER = "episode,step,observation.x,action,reward,terminated,propensity\n"


def write(path, rows: str):
    path.write_text(HEADER + rows)
    return path


def many(path, reward: str = "1"):
    """160 episodes of two steps, without a fault."""
    rows = [
        f"{e},{t},{(7 * e + t) % 11},{'ab'[(e + t) % 2]},{reward if e % 3 else 0},{t},0.5"
        for e in range(160)
        for t in range(2)
    ]
    return write(path, "\n".join(rows) + "\n")


def test_a_good_log_exits_with_0(tmp_path):
    result = call("validate", many(tmp_path / "log.csv"), "--json")
    assert result.exit_code == 0
    said = document(result)
    assert (said["decisions"], said["episodes"], said["features"]) == (320, 160, 1)
    assert {finding["severity"] for finding in said["findings"]} <= {"note"}


def test_warnings_exit_with_0_unless_strict(tmp_path):
    log = many(tmp_path / "log.csv", reward="0")  # Every reward is the same.
    result = call("validate", log)
    assert result.exit_code == 0
    assert "warning" in result.stdout and "320 decisions, 160 episodes" in result.stdout
    assert call("validate", log, "--strict").exit_code == 3


def test_errors_exit_with_3_and_stand_in_the_table(tmp_path):
    log = write(tmp_path / "log.csv", "1,0,nan,a,1,0,0.5\n1,1,2,b,1,1,0.5\n")
    result = call("validate", log)
    assert result.exit_code == 3
    assert "error" in result.stdout and "NONFINITE" in result.stdout


def test_a_file_that_cannot_be_read_gives_json_too(tmp_path):
    log = tmp_path / "log.parquet"
    log.write_text(HEADER)
    result = call("validate", log, "--json")
    assert result.exit_code == 3
    error = document(result)["error"]
    assert error["findings"][0]["code"] == "WRONG_FORMAT"
    assert "is text, but its name ends in '.parquet'" in error["message"]
    assert "error WRONG_FORMAT" in result.stderr


def test_an_unknown_mapping_names_the_closest_preset(tmp_path):
    result = call("validate", many(tmp_path / "log.csv"), "--mapping", "plane")
    assert result.exit_code == 3
    assert "Did you mean 'plain'?" in result.stderr


def test_how_rows_are_counted_is_said_where_rows_are_shown(tmp_path):
    rows = "1,0,nan,a,1,0,0.5\n1,1,2,b,1,1,0.5\n"
    assert "row 0 is line 2 of a CSV file" in call(
        "validate", write(tmp_path / "log.csv", rows)
    ).stdout.replace("\n", " ")
    refused = call(
        "validate", write(tmp_path / "log.csv", rows.replace(",b,1,", ",b,one,"))
    )
    assert "row 1 has 'one'" in refused.stderr
    assert "row 0 is line 2 of a CSV file" in refused.stderr
    assert "row 0" not in call("validate", many(tmp_path / "log.csv")).stdout
