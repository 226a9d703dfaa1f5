"""Files that survive a power cut. Standard library only."""

import json
import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """fsync of a directory, so that names made or changed in it are durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> dict[str, int]:
    """fsync of every file and directory below ``folder``; answers the files' sizes in bytes by relative path."""
    sizes: dict[str, int] = {}
    for directory, _, names in os.walk(folder):
        for name in names:
            path = Path(directory, name)
            with path.open("rb") as file:
                os.fsync(file.fileno())
                sizes[path.relative_to(folder).as_posix()] = os.fstat(file.fileno()).st_size
        sync_directory(Path(directory))
    return dict(sorted(sizes.items()))


def write_json(path: Path, value: object) -> None:
    """Writes by temporary name, fsync and rename: a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_directory(path.parent)


def rename_folder(source: Path, target: Path) -> None:
    """Gives a finished folder its final name, after everything in it is on disk."""
    sync_tree(source)
    source.rename(target)
    sync_directory(target.parent)
