"""The comparison itself: what it must see, what it must not, and when an allowance holds."""

import unittest

from differences import Allowance, Difference, allowances_of, compare, sort_out
from driver import matches
from http_client import Answer, parse
from masking import ANY_TEXT, Masking
from steps import Json


def places(reference: Json, selvedge: Json) -> list[str]:
    return [difference.place for difference in compare("s: GET /", reference, selvedge)]


def allowed(steps: list[str], places: list[str], **more: Json) -> Allowance:
    return Allowance(steps, places, "bug", "1.1 a defect", "", "", "", **more)


class Comparing(unittest.TestCase):
    def test_members_are_compared_both_ways_and_to_the_type(self) -> None:
        reference = {"status": 200, "body": {"a": 1, "b": [{"c": 0}], "only": None}}
        selvedge = {"status": 200, "body": {"a": 1.0, "b": [{"c": False}], "more": None}}
        self.assertEqual(places(reference, reference), [])
        self.assertEqual(places(reference, selvedge), ["body.a", "body.b[0].c", "body.only", "body.more"])

    def test_answers_of_different_statuses_differ_in_that_alone(self) -> None:
        self.assertEqual(places({"status": 200, "body": 1}, {"status": 404, "body": 2}), ["status"])
        self.assertEqual(places({"status": 200, "body": 1}, {"unanswered": "TimeoutError"}), ["status"])

    def test_any_text_is_a_text_that_is_there(self) -> None:
        reference = {"status": 422, "body": {"detail": ANY_TEXT}}
        self.assertEqual(places(reference, {"status": 422, "body": {"detail": "limit: 0 is less than 1"}}), [])
        for wrong in ({"detail": ""}, {"detail": [1]}, {}):
            self.assertEqual(places(reference, {"status": 422, "body": wrong}), ["body.detail"])

    def test_an_allowance_covers_its_steps_and_places_and_no_others(self) -> None:
        allowance = allowed(["runs: *", "state: *"], ["body.a*"])
        covered = Difference("runs: GET /x", "body.a.b", "1", "2")
        others = [Difference("threads: GET /x", "body.a", "1", "2"), Difference("runs: GET /x", "status", "1", "2")]
        self.assertEqual(sort_out([covered, *others], [allowance]), others)
        self.assertEqual(allowance.unused, ["state: *"])

    def test_an_allowance_that_says_what_is_shown_covers_nothing_else(self) -> None:
        allowance = allowed(["runs: *"], ["body.a"], shows=['"<number 1.10>"'])
        covered = Difference("runs: GET /x", "body.a", "1.1", '"<number 1.10>"')
        other = Difference("runs: GET /x", "body.a", "1.1", "1.2")
        self.assertEqual(sort_out([covered, other], [allowance]), [other])

    def test_an_allowance_has_the_mark_of_a_defect_or_a_name_of_the_list(self) -> None:
        entry = {"steps": ["*"], "places": ["*"], "reference": "", "selvedge": "", "reason": ""}
        defect = {**entry, "kind": "bug", "mark": "3.8 a batch is not atomic"}
        named = {**entry, "kind": "improvement", "mark": "errors are said"}
        read = allowances_of({"names": ["errors are said"], "difference": [defect, named]})
        self.assertEqual([a.name for a in read], ["a batch is not atomic", "errors are said"])
        for wrong in (
            {**entry, "kind": "bug"},
            {**defect, "mark": ""},
            {**defect, "mark": "a batch is not atomic"},
            {**named, "mark": "for no reason"},
            {**named, "kind": "own", "mark": ""},
            {**named, "kind": "fashion"},
        ):
            with self.assertRaises(ValueError):
                allowances_of({"names": ["errors are said"], "difference": [wrong, named]})
        with self.assertRaises(ValueError):
            allowances_of({"names": ["errors are said"], "difference": [defect]})

    def test_numbers_are_compared_as_they_are_written(self) -> None:
        written = parse(b"[1.1, 1.10, 1e2, 1e+22, 1e22, 12345678901234567890123]")
        self.assertEqual(written, [1.1, "<number 1.10>", "<number 1e2>", 1e22, 1e22, 12345678901234567890123])

    def test_an_id_keeps_its_name_and_a_time_its_form(self) -> None:
        masking = Masking(["two"])
        masking.saved("run", "01a20129-03b4-7262-b63e-0aeb6cec2359")
        body = {
            "run": "/runs/01a20129-03b4-7262-b63e-0aeb6cec2359",
            "other": "01a20129-03b4-7262-b63e-0aeb6cec2350",
            "assistant": "4499204c-8eda-5495-a842-3696dc7527c7",
            "at": "2026-11-22T02:49:54.870523+00:00",
            "at_z": "2026-11-22T02:49:54Z",
            "langgraph_version": "1.2.22",
        }
        masked = masking.answer(Answer(200, {"date": "now", "location": "/x"}, body), unordered=False, shape=False)
        self.assertEqual(masked["headers"], {"location": "/x"})
        self.assertEqual(
            masked["body"],
            {
                "run": "/runs/<run v7>",
                "other": "<uuid>",
                "assistant": "<assistant two>",
                "at": "<time>",
                "at_z": "2026-11-22T02:49:54Z",
            },
        )

    def test_a_condition_needs_its_members_and_no_others(self) -> None:
        event = {"event": "metadata", "data": {"status": "run_done", "run_id": "r"}}
        self.assertTrue(matches(event, {"event": "metadata", "data": {"status": "run_done"}}))
        self.assertFalse(matches(event, {"data": {"status": "running"}}))
        self.assertTrue(matches([event], [{"event": "metadata"}]))
        self.assertFalse(matches([event, event], [{"event": "metadata"}]))
        self.assertFalse(matches([], [{"event": "metadata"}]))


if __name__ == "__main__":
    unittest.main()
