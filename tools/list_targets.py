#!/usr/bin/env python3
"""Prints the targets of a build folder, but those that are made in some folders of tests.

usage: list_targets.py BUILD_FOLDER [TEST_FOLDER]…
"""

import json
import os
import subprocess
import sys

build = sys.argv[1]
left_out = {os.path.join("tests", folder) for folder in sys.argv[2:]}
targets = json.loads(
    subprocess.run(
        ["meson", "introspect", build, "--targets"], check=True, capture_output=True
    ).stdout
)
for target in targets:
    made_in = os.path.relpath(os.path.dirname(target["defined_in"]))
    if target["build_by_default"] and made_in not in left_out:
        for path in target["filename"]:
            print(os.path.relpath(path, build))
