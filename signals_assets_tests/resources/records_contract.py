"""What every door of releases and pull requests must do, as tests that a test module runs against its own door.

Subclass `RecordsContract` beside a fixture `records` that tells this story of January 2026: pull request 1, "Search
keeps its words", from branch `maria/search`, body "For SIG-0A1B2C3D.", changing `src/search.py`, opened on the 5th and
merged on the 6th; 2, "Try again", opened on the 6th and closed unmerged on the 8th; 3, "Answer in the end", opened on
the 8th. Releases: 1.0.0 on the 4th without a pull request, 1.1.0 on the 7th with the first.
"""

from datetime import UTC, date, datetime

from signals_assets.core.records import pull_request_rows, release_rows


def day(number):
    return date(2026, 1, number)


class RecordsContract:
    def test_days_are_those_on_which_something_happened(self, records):
        assert records.days("releases") == [day(4), day(7)]
        assert records.days("pull_requests") == [day(5), day(6), day(8)]

    def test_a_pull_request_is_told_as_of_each_day_that_it_moved(self, records):
        told = {
            number: {one["pull_request_id"]: one["state"] for one in records.records("pull_requests", day(number))}
            for number in range(4, 10)
        }
        assert told == {
            4: {},
            5: {"1": "open"},
            6: {"1": "merged", "2": "open"},
            7: {},
            8: {"2": "closed", "3": "open"},
            9: {},
        }

    def test_what_a_later_day_brought_is_not_known_before(self, records):
        (opened,) = records.records("pull_requests", day(5))
        assert (opened["merged_at"], opened["released_in"]) == (None, None)
        merged = next(one for one in records.records("pull_requests", day(6)) if one["pull_request_id"] == "1")
        assert merged["merged_at"] == datetime(2026, 1, 6, 12, tzinfo=UTC).timestamp()

    def test_records_become_rows_with_files_branch_and_the_tickets_they_name(self, records):
        rows, coverage = pull_request_rows(day(6), records.records("pull_requests", day(6)), known_on=day(6))
        first = next(row for row in rows if row.pull_request_id == "1")
        assert (first.title, first.branch, first.files) == ("Search keeps its words", "maria/search", ["src/search.py"])
        assert (first.state, first.ticket_keys) == ("merged", ["SIG-0A1B2C3D"])
        assert (coverage.asked, coverage.answered) == (2, 2)

    def test_a_release_names_version_time_and_pull_requests(self, records):
        rows, _ = release_rows(day(7), records.records("releases", day(7)), sessions=[], known=[], known_on=day(7))
        (row,) = rows
        assert (row.version, row.kind, row.origin, row.pull_request_ids) == ("1.1.0", "version", "record", ["1"])
        assert row.released_at == datetime(2026, 1, 7, 9, tzinfo=UTC)
        assert [one["version"] for one in records.records("releases", day(4))] == ["1.0.0"]
        assert list(records.records("releases", day(5))) == []

    def test_a_day_told_twice_is_told_alike(self, records):
        for kind in ("releases", "pull_requests"):
            for number in range(4, 10):
                assert list(records.records(kind, day(number))) == list(records.records(kind, day(number)))

    def test_other_kinds_are_there_and_empty(self, records):
        for kind in ("error_logs", "feedback", "user_outcomes"):
            assert records.days(kind) == []
            assert list(records.records(kind, day(5))) == []
