#!/usr/bin/env python3
"""Sum up CTest reports: "N passed, N failed", and exit 1 if anything failed.

A Criterion program counts as the tests inside it, by the summary that it prints; anything else
counts as one. A report that is missing counts as one failure, since its run came to nothing.
"""
import argparse
import os
import re
import sys
import xml.etree.ElementTree as ET

SYNTHESIS = re.compile(
    r"Synthesis: Tested: \d+ \| Passing: (\d+) \| Failing: (\d+) \| Crashing: \d+")
SKIPPED = re.compile(r"^\[SKIP\] (\S+): (.*)$", re.M)
FAILED = re.compile(r"^\[FAIL\] (\S+): ", re.M)


def count_case(case):
    """(passed, failed, [names that failed], [name: reason of those skipped]) of one <testcase>."""
    name = case.get("name")
    output = case.findtext("system-out") or ""
    skipped = case.find("skipped")
    bad = case.get("status") == "fail" or case.find("failure") is not None
    if skipped is not None or case.get("status") in ("notrun", "disabled"):
        if skipped is None or not skipped.get("message", "").startswith("SKIP_RETURN_CODE"):
            return 0, 1, [f"{name} (did not run)"], []
        lines = [line for line in output.splitlines() if line.strip()]
        return 0, 0, [], [f"{name}: {lines[-1] if lines else 'no reason given'}"]

    found = SYNTHESIS.search(output)
    if not found:
        return (0, 1, [name], []) if bad else (1, 0, [], [])
    passed, failed = int(found.group(1)), int(found.group(2))  # those that crashed are among failed
    failures = [f"{name} {test}" for test in FAILED.findall(output)]
    if bad and failed == 0:
        failed, failures = 1, [f"{name} (all its tests passed, the program did not: a leak?)"]
    skips = [f"{name} {test}: {why}" for test, why in SKIPPED.findall(output)
             if why != "Test is disabled"]
    return passed, failed, failures, skips


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passed", type=int, default=0, help="passed beside the reports")
    parser.add_argument("--failed", type=int, default=0, help="failed beside the reports")
    parser.add_argument("reports", nargs="*")
    args = parser.parse_args()

    passed, failed = args.passed, args.failed
    for report in args.reports:
        name = os.path.basename(report).rsplit(".", 1)[0]
        if not os.path.exists(report):
            print(f"FAILED: {name} (no report)")
            failed += 1
            continue
        for case in ET.parse(report).getroot().iter("testcase"):
            good, bad, failures, skips = count_case(case)
            passed += good
            failed += bad
            for text in skips:
                print(f"skipped: {name} {text}")
            for text in failures:
                print(f"FAILED: {name} {text}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
