"""`forkpipe evaluate` killed three times; `make prove-benchmarks` kills it twenty times."""

from killed_commands import prove


def test_a_killed_command_asks_for_no_durable_sample_again_and_ends_with_the_same_tables(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    happened = prove(tmp_path, kills=3)
    assert sorted(happened["killed_at"]) == happened["killed_at"]
    assert happened["killed_at"][0] < happened["samples"]
    assert happened["faults"]
    assert happened["requests"] >= happened["samples"]
