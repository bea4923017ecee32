"""What every ledger must hold: subclass `LedgerContract` and give it a `ledger` fixture."""

import pickle
import threading
from datetime import date

import pytest

from signals_assets.resources.ledger import Ledger, LedgerError


class LedgerContract:
    def test_an_entry_is_found_again_with_its_payload(self, ledger: Ledger) -> None:
        payload = {"name": "Ünïcode", "n": 1, "share": 0.25, "list": [1, None], "nested": {"yes": True}}
        entry, new = ledger.append("filing", "a", payload)
        assert new
        assert ledger.find("filing", "a") == entry
        assert entry.payload == payload
        assert ledger.find("filing", "b") is None
        assert ledger.find("other", "a") is None

    def test_a_key_is_unique_within_its_kind_and_the_first_payload_stays(self, ledger: Ledger) -> None:
        first, _ = ledger.append("filing", "a", {"n": 1})
        again, new = ledger.append("filing", "a", {"n": 2})
        assert not new
        assert again == first
        assert ledger.append("other", "a", {"n": 3})[1]

    def test_sequence_numbers_rise_over_all_kinds(self, ledger: Ledger) -> None:
        numbers = [ledger.append(kind, key, {})[0].seq for kind, key in [("x", "1"), ("y", "1"), ("x", "2")]]
        assert numbers == sorted(set(numbers))
        assert [(e.kind, e.key) for e in ledger.entries(["y", "x"])] == [("x", "1"), ("y", "1"), ("x", "2")]
        assert [e.key for e in ledger.entries(["x"])] == ["1", "2"]
        assert ledger.entries([]) == []

    def test_a_transaction_commits_all_or_nothing(self, ledger: Ledger) -> None:
        def break_off() -> None:
            with ledger.transaction() as writer:
                writer.append("x", "1", {})
                assert writer.find("x", "1") is not None
                raise KeyError("something else went wrong")

        with pytest.raises(KeyError):
            break_off()
        assert ledger.find("x", "1") is None
        with ledger.transaction() as writer:
            writer.append("x", "1", {})
            writer.append("x", "2", {})
            assert [entry.key for entry in writer.entries(["x"])] == ["1", "2"]
        assert len(ledger.entries(["x"])) == 2

    def test_a_writer_sees_the_newest_entry_of_a_kind_its_own_included(self, ledger: Ledger) -> None:
        ledger.append_many("x", [("9", {"n": 1}), ("1", {"n": 2})])
        ledger.append("y", "1", {})
        with ledger.transaction() as writer:
            newest = writer.newest("x")
            assert newest is not None
            assert (newest.key, newest.payload) == ("1", {"n": 2})
            written, _ = writer.append("x", "5", {"n": 3})
            assert writer.newest("x") == written
            assert writer.newest("nothing") is None

    def test_a_transaction_inside_a_transaction_is_refused_at_once(self, ledger: Ledger) -> None:
        with pytest.raises(LedgerError, match="its writer"), ledger.transaction():
            ledger.append("x", "1", {})
        assert ledger.append("x", "1", {})[1]

    def test_the_newest_day_is_the_latest_that_was_noted(self, ledger: Ledger) -> None:
        assert ledger.newest_day() is None
        for day in (date(2026, 3, 2), date(2026, 3, 9), date(2026, 3, 3), date(2026, 3, 9)):
            ledger.day_materialized(day)
        assert ledger.newest_day() == date(2026, 3, 9)

    def test_an_entry_carries_the_newest_day_of_its_time(self, ledger: Ledger) -> None:
        assert ledger.append("x", "first", {})[0].newest_day is None
        ledger.day_materialized(date(2026, 3, 2))
        assert ledger.append("x", "second", {})[0].newest_day == date(2026, 3, 2)
        ledger.day_materialized(date(2026, 3, 1))
        ledger.append_many("x", [("third", {})])
        assert [entry.newest_day for entry in ledger.entries(["x"])] == [None, date(2026, 3, 2), date(2026, 3, 2)]

    def test_a_day_reads_what_was_written_while_the_newest_day_was_earlier(self, ledger: Ledger) -> None:
        ledger.append("x", "before any day", {})
        ledger.day_materialized(date(2026, 3, 2))
        ledger.append("x", "after the second", {})
        ledger.day_materialized(date(2026, 3, 3))
        ledger.append("x", "after the third", {})

        def keys(before: date | None) -> list[str]:
            return [entry.key for entry in ledger.entries(["x"], before=before)]

        assert keys(date(2026, 3, 2)) == ["before any day"]
        assert keys(date(2026, 3, 3)) == ["before any day", "after the second"]
        assert keys(date(2026, 3, 4)) == keys(None) == ["before any day", "after the second", "after the third"]
        with ledger.transaction() as writer:
            assert len(writer.entries(["x"], before=date(2026, 3, 3))) == 2

    def test_many_are_added_once(self, ledger: Ledger) -> None:
        ledger.append("x", "2", {"n": "kept"})
        assert ledger.append_many("x", ((str(n), {"n": n}) for n in [1, 2, 3, 3])) == 2
        assert ledger.append_many("x", [("1", {}), ("3", {})]) == 0
        assert ledger.append_many("x", []) == 0
        assert {entry.key: entry.payload["n"] for entry in ledger.entries(["x"])} == {"2": "kept", "1": 1, "3": 3}

    def test_a_stream_that_breaks_adds_nothing(self, ledger: Ledger) -> None:
        def breaking():
            yield "1", {}
            raise ConnectionError

        with pytest.raises(ConnectionError):
            ledger.append_many("x", breaking())
        assert ledger.entries(["x"]) == []

    @pytest.mark.parametrize("payload", [{"day": date(2026, 3, 2)}, {"n": float("nan")}, {"secret": {1, 2}}])
    def test_what_is_not_json_is_refused_without_being_quoted(self, ledger: Ledger, payload: dict) -> None:
        with pytest.raises(LedgerError) as refusal:
            ledger.append("x", "1", payload)
        assert "secret" not in str(refusal.value)
        assert ledger.find("x", "1") is None

    @pytest.mark.parametrize("key", ["a\0b", "\ud800", "ü" * 1_300])
    def test_a_key_that_not_every_database_can_hold_is_refused(self, ledger: Ledger, key: str) -> None:
        with pytest.raises(LedgerError, match="hash it"):
            ledger.append("x", key, {})
        assert ledger.append("x", key.replace("\0", "0").replace("\ud800", "d")[:1_200], {})[1]

    def test_any_text_in_a_payload_comes_back_as_it_was(self, ledger: Ledger) -> None:
        payload = {"text": "a\0b \ud800 \U0001f600 'quoted' \\ %s :name", "\0": ["\x7f", ""]}
        ledger.append("x", "1", payload)
        assert ledger.append_many("x", [("2", payload)]) == 1
        assert [entry.payload for entry in ledger.entries(["x"])] == [payload, payload]

    def test_erasing_keeps_the_keys_as_tombstones(self, ledger: Ledger) -> None:
        ledger.append_many("x", [("1", {"note": "gone"}), ("2", {"note": "stays"})])
        assert ledger.erase("x", ["1", "1", "never there"]) == 1
        ledger.forget_replaced()
        assert [entry.payload for entry in ledger.entries(["x"])] == [{}, {"note": "stays"}]
        assert not ledger.append("x", "1", {"note": "again"})[1]

    def test_an_amended_entry_keeps_its_place_and_loses_its_old_payload(self, ledger: Ledger) -> None:
        ledger.append("x", "1", {"items": ["theirs", "ours"]})
        number = ledger.append("y", "1", {})[0].seq
        assert ledger.amend("x", "1", {"items": ["ours"]})
        assert not ledger.amend("x", "never there", {})
        [entry] = ledger.entries(["x"])
        assert entry.payload == {"items": ["ours"]}
        assert entry.seq < number
        assert ledger.kinds() == ["x", "y"]

    def test_threads_that_write_the_same_keys_write_each_once(self, ledger: Ledger) -> None:
        added: list[int] = []

        def write() -> None:
            added.append(sum(ledger.append("x", str(n), {})[1] for n in range(20)))

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(added) == len(ledger.entries(["x"])) == 20

    def test_whatever_writes_beside_an_open_transaction_is_refused_at_once(self, ledger: Ledger) -> None:
        ledger.append("x", "1", {})
        beside = [
            lambda: ledger.append_many("x", [("2", {})]), lambda: ledger.amend("x", "1", {}),
            lambda: ledger.erase("x", ["1"]), ledger.forget_replaced,
        ]  # fmt: skip
        with ledger.transaction():
            for write in beside:
                with pytest.raises(LedgerError, match="its writer"):
                    write()

    def test_readers_do_not_wait_for_a_writer(self, ledger: Ledger) -> None:
        ledger.append("x", "1", {})
        with ledger.transaction() as writer:
            writer.append("x", "2", {})
            assert [entry.key for entry in ledger.entries(["x"])] == ["1"]

    def test_a_ledger_can_be_sent_to_another_process(self, ledger: Ledger) -> None:
        ledger.append("x", "1", {})
        assert len(pickle.loads(pickle.dumps(ledger)).entries(["x"])) == 1

    def test_the_doctor_gets_an_answer(self, ledger: Ledger) -> None:
        ledger.append("x", "1", {})
        assert "1 entries" in ledger.check()
