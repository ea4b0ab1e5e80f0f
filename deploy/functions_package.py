"""Package the Functions app; called by package_functions.sh, which documents the usage.

Every library is a wheel, checked against its hash in requirements/functions.txt; only our own package is built.
The zip is the same for the same input: its entries are in order and have one date.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SITE = Path(".python_packages/lib/site-packages")  # the Functions host's search path
APP = ("function_app.py", "host.json")
SETTINGS = "config/settings.yaml"  # planning must read the same settings as the workers in the image
SHIPPED = "requirements.txt"
# Never loaded by the app, and a quarter of the package.
PRUNED = (
    "bin",
    "pandas/tests",
    "numpy/tests",
    "numpy/*/tests",
    "numpy/f2py",
    "**/__pycache__",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
    "*.dist-info/direct_url.json",  # the location of our wheel on this machine
)
_OLDEST, _NEWEST = 5, 28  # manylinux_2_x: what runs on Azure's Debian
_DATE = (1980, 1, 1, 0, 0, 0)


def main(output: Path) -> None:
    """Stage in a folder named like the zip, then zip it."""
    python, machine = os.environ.get("FUNCTIONS_PYTHON", "3.13"), os.environ.get("FUNCTIONS_ARCH", "x86_64")
    staged = output.with_suffix("")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    for name in APP:
        shutil.copy(ROOT / "azure_functions" / name, staged)
    shutil.copy(ROOT / SETTINGS, staged)
    pinned = requirements_for(python, machine, (ROOT / "requirements/functions.txt").read_text("utf-8"))
    (staged / SHIPPED).write_text(pinned, "utf-8")
    put = partial(install, python, machine, staged / SITE)
    with tempfile.TemporaryDirectory() as scratch:
        put("--require-hashes", "--only-binary", ":all:", "-r", str(staged / SHIPPED))
        prune(staged / SITE)
        put("--no-index", "--only-binary", ":all:", str(our_wheel(Path(scratch))))
        prune(staged / SITE)
    add_calendars(staged / SITE / "quantx/calendars")
    size = pack(staged, output)
    sys.stdout.write(f"package: {output}, {size / 1e6:.0f} MB, for Python {python} on {machine}\n")


def requirements_for(python: str, machine: str, text: str) -> str:
    """Return those of the pinned requirements that hold on the target, without their markers.

    pip would evaluate the markers for the interpreter that packs.
    """
    from pip._vendor.packaging.markers import Marker

    target = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "os_name": "posix",
    }
    kept = []
    for block in text.replace("\\\n", "\x00").splitlines():
        if not block or block.lstrip().startswith("#"):
            continue
        pin, _, hashes = block.partition("\x00")
        name, _, marker = pin.partition(";")
        if not marker.strip() or Marker(marker.strip()).evaluate(target):
            kept.append(" \\\n".join([name.strip(), *(part.rstrip() for part in hashes.split("\x00"))]))
    return "\n".join(kept) + "\n"


def install(python: str, machine: str, site: Path, *what: str) -> None:
    """Put wheels for the target beside the app."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(_NEWEST, _OLDEST - 1, -1)]
    platforms += [f"{old}_{machine}" for old in ("manylinux2014", "manylinux2010", "manylinux1")]
    target = [part for platform in platforms for part in ("--platform", platform)]
    target += ["--python-version", python, "--implementation", "cp", "--target", str(site), "--no-deps"]
    # The pins were made for this Python; pip would compare with the one that packs.
    pip("install", *target, "--no-compile", "--ignore-requires-python", *what)


def our_wheel(scratch: Path) -> Path:
    """Build the wheel of src/ with the pinned builder, in an environment of its own where this one has none."""
    builder = sys.executable
    if subprocess.run([builder, "-c", "import hatchling"], capture_output=True, check=False).returncode:
        subprocess.run([sys.executable, "-m", "venv", str(scratch / "tools")], check=True)
        builder = str(scratch / "tools/bin/python")
        pip("install", "--require-hashes", "--no-deps", "-r", str(ROOT / "requirements/build.txt"), python=builder)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(scratch), str(ROOT), python=builder)
    (wheel,) = scratch.glob("*.whl")
    return wheel


def pip(*arguments: str, python: str = sys.executable) -> None:
    """Run pip quietly: it prints its errors only."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    subprocess.run([python, "-m", "pip", *arguments, "-qq"], check=True, env=environment)


def prune(site: Path) -> None:
    """Remove what the app never loads."""
    for pattern in PRUNED:
        for path in list(site.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def add_calendars(folder: Path) -> None:
    """Write the exchanges' calendars, which each start would compute; without them where their library is missing."""
    command = [sys.executable, "-m", "quantx.calendar_files", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    if subprocess.run(command, env=environment, capture_output=True, check=False).returncode:
        sys.stdout.write(
            "package: without calendars, as exchange_calendars is not installed here; starts take longer\n"
        )


def pack(folder: Path, output: Path) -> int:
    """Zip a folder; return the size of the zip."""
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as package:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _DATE)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, path.read_bytes())
    return output.stat().st_size


if __name__ == "__main__":
    if not sys.argv[1].endswith(".zip"):
        sys.exit(f"package: {sys.argv[1]} must end in .zip; its content is staged in a folder of that name without it")
    try:
        main(Path(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"package: {' '.join(error.cmd[1:5])} … ended with {error.returncode}")
