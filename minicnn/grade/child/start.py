"""The first file of a student's process: `python -I start.py SETTINGS`, with a socket to the grader.

It runs alone, without the rest of minicnn: the packages `minicnn`, `minicnn.nn` and `minicnn.ops` are empty rooms here,
and only files that hold no answers are brought into them. So the reference is not in this process at all.
"""

import json
import sys
import types
from pathlib import Path


def main() -> None:
    """Open the rooms, shut the doors, and answer the grader until it hangs up."""
    settings = json.loads(sys.argv[1])
    sys.argv = [settings["name"]]
    for site in settings["sites"]:
        if site not in sys.path:
            sys.path.append(site)
    open_rooms(Path(__file__).parents[2])
    from minicnn.grade.child import rooms

    rooms.furnish()
    from minicnn.grade.child.serve import serve  # after the rooms are furnished: it uses what is in them

    serve(settings)


def open_rooms(package: Path) -> None:
    """Make `import minicnn.ROOM.FILE` work without running any `__init__` of minicnn, which would import everything."""
    for name in ("minicnn", "minicnn.nn", "minicnn.ops", "minicnn.grade"):
        room = types.ModuleType(name)
        room.__path__ = [str(package.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = room
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, room)


if __name__ == "__main__":
    main()
