#!/usr/bin/env python3
"""Counts single tests of one `meson test` run: prints "passed failed skipped".

usage: count_tests.py TESTLOG.json XML_FOLDER

GoogleTest programs leave XML (GTEST_OUTPUT=xml:FOLDER/), whose cases are counted one by one. A
program that failed without a failed case (crash, time-out, sanitizer report at exit), and one that
is no GoogleTest program, counts as one.
"""
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def count_cases(xml_file):
    passed = failed = skipped = 0
    for case in ElementTree.parse(xml_file).getroot().iter("testcase"):
        if case.find("failure") is not None:
            failed += 1
        elif case.get("result") == "skipped" or case.find("skipped") is not None:
            skipped += 1
        elif case.get("status") == "run":
            passed += 1
    return passed, failed, skipped


def cases_by_program(folder):
    """Cases of each program, by its name; a program that ran n times left name_1.xml and so on."""
    counts = {}
    for xml_file in sorted(pathlib.Path(folder).glob("*.xml")):
        try:
            counts[xml_file.stem] = count_cases(xml_file)
        except ElementTree.ParseError:  # cut off by a crash: the exit code tells
            pass
    return counts


def main():
    cases = cases_by_program(sys.argv[2])
    totals = [sum(count[i] for count in cases.values()) for i in range(3)]
    failed_programs = {name for name, count in cases.items() if count[1] > 0}
    with open(sys.argv[1], encoding="utf-8") as log:
        runs = [json.loads(line) for line in log if line.strip()]
    for run in runs:
        program = pathlib.Path(next(word for word in reversed(run["command"])
                                    if not word.startswith("-"))).name
        result = run["result"]
        if result in ("OK", "EXPECTEDFAIL"):
            totals[0] += 0 if program in cases else 1
        elif result == "SKIP":
            totals[2] += 0 if program in cases else 1
        elif program not in failed_programs:
            totals[1] += 1
    print(*totals)


if __name__ == "__main__":
    main()
