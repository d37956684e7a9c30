"""Builds the package with the standard library only (PEP 517)."""

import base64
import hashlib
import pathlib
import tarfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
NAME, VERSION = "iot_sdk", "0.1.0"
INFO = f"{NAME}-{VERSION}.dist-info"
METADATA = f"Metadata-Version: 2.1\nName: iot-sdk\nVersion: {VERSION}\nRequires-Python: >=3.9\nLicense: Apache-2.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: iot-sdk\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Writes the wheel and returns its file name."""
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    files = {f"{NAME}/{path.name}": path.read_bytes() for path in sorted((HERE / NAME).glob("*.py"))}
    files[f"{NAME}/py.typed"] = b""
    files[f"{INFO}/METADATA"] = METADATA.encode()
    files[f"{INFO}/WHEEL"] = WHEEL.encode()
    record = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(content)}\n")
    files[f"{INFO}/RECORD"] = "".join([*record, f"{INFO}/RECORD,,\n"]).encode()
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
    return name


def build_sdist(sdist_directory, config_settings=None):
    """Writes the source archive and returns its file name."""
    name = f"iot-sdk-{VERSION}"
    with tarfile.open(pathlib.Path(sdist_directory) / f"{name}.tar.gz", "w:gz") as archive:
        for path in ["pyproject.toml", "build_backend.py", "README.md", *sorted((HERE / NAME).glob("*.py"))]:
            relative = pathlib.Path(path)
            relative = relative.relative_to(HERE) if relative.is_absolute() else relative
            archive.add(HERE / relative, f"{name}/{relative}")
    return f"{name}.tar.gz"
