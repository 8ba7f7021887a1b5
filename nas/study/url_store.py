"""Files of a study at a URL that fsspec reads (`s3://bucket/prefix`, `gs://`, `file://`, ...): the key `files` of a study.

Credentials come from where the storage's own package looks for them (environment, files in the home folder, the machine's
role), never from the URL, which is stored with the study.
"""

from __future__ import annotations

import errno
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nas.errors import StudyError, UsageError, reason
from trainers.files import atomic_write

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
MAX_URL_CHARACTERS = 4_000
_CHAINED = "::"  # of several file systems, which fsspec allows

OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "memory")
"""Storages without folders: an upload replaces a file at once, whole."""


def check_url(url: str) -> str:
    """Check the form of the URL of a study's files; returns it. Nothing is imported or reached.

    Raises:
        ValueError: it is no URL, or holds credentials; these are not repeated.
    """
    scheme, separator, place = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme) or not place.strip("/") or _CHAINED in url:
        raise ValueError("must be a URL such as s3://bucket/prefix or file:///folder, " + _shown(url))
    if not url.isprintable() or len(url) > MAX_URL_CHARACTERS:
        raise ValueError(f"must be one line of at most {MAX_URL_CHARACTERS:,} characters, {_shown(url)}")
    if "@" in place or "?" in place or "#" in place:
        rule = "must not contain credentials or options (the storage's own environment variables and files hold them)"
        raise ValueError(f"{rule}, found {scheme}://***")
    if ".." in place.split("/"):
        raise ValueError(f"must not contain '..', found {url}")
    return url


def without_credentials(text: str) -> str:
    """`text`, such as an argument of a command, without what may be credentials in a URL in it."""
    return re.sub(r"(://[^?#]*)[?#].*", r"\1?***", re.sub(r"://[^/]*@", "://***@", text))


def _shown(url: str) -> str:
    return f"found {url}" if not set("@?#") & set(url) else "found a text with credentials or options"


class UrlStore:
    """The files below a URL; a `FileStore`. Safe for several threads.

    Args:
        url: as `check_url` accepts it.

    Raises:
        UsageError: the package that reads such URLs is missing, or there is none.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url.rstrip("/")
        try:
            # No listings are cached, since other machines write here.
            self._system, self._root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ImportError, ValueError) as error:  # fsspec names the package, or the protocol that nobody knows
            raise UsageError(f"files: {error}, found {self.url}") from None
        except Exception as error:  # what the classes of other packages make of a URL that is not for them
            raise UsageError(f"files: must be a place to write to, found {self.url} ({_cause(error)})") from None
        self._has_folders = self.url.partition("://")[0] not in OBJECT_STORES

    def check(self) -> None:
        """Check that files can be written, read and removed.

        Raises:
            UsageError: they cannot.
        """
        content = secrets.token_bytes(8)
        name = f".mixfront-{content.hex()}"
        try:
            with tempfile.TemporaryDirectory() as folder:
                source, target = Path(folder) / "written", Path(folder) / "read"
                source.write_bytes(content)
                self.publish(name, source)
                is_kept = self.fetch(name, target) and target.read_bytes() == content
                self.remove(name)
        except OSError as error:
            raise UsageError(f"files: must be a place to write to, found {self.url} ({_cause(error)})") from error
        if not is_kept:
            raise UsageError(f"files: must be a place that keeps what is written, found {self.url}")

    def fetch(self, name: str, target: Path) -> bool:
        """As `FileStore.fetch`."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with atomic_write(target) as draft, self._errors(name):
                self._system.get_file(self._place(name), str(draft))
        except FileNotFoundError:
            return False
        return True

    def publish(self, name: str, source: Path) -> None:
        """As `FileStore.publish`."""
        place = self._place(name)
        with self._errors(name):
            if not self._has_folders:  # an upload is atomic
                self._system.put_file(str(source), place)
                return
            draft = f"{place}.{secrets.token_hex(4)}.tmp"
            self._system.makedirs(place.rpartition("/")[0], exist_ok=True)
            try:
                self._system.put_file(str(source), draft)
                self._system.mv(draft, place)
            except BaseException:
                with suppress(Exception):
                    self._system.rm_file(draft)
                raise

    def size(self, name: str) -> int | None:
        """As `FileStore.size`."""
        try:
            with self._errors(name):
                return int(self._system.info(self._place(name))["size"])
        except FileNotFoundError:
            return None

    def mark(self, name: str) -> str | None:
        """A text that changes whenever the file `name` does; None if there is none, or if that cannot be found out."""
        try:
            with self._errors(name):
                place = self._place(name)
                return f"{self._system.info(place)['size']}/{self._system.modified(place)}"
        except OSError:
            return None

    def remove(self, name: str) -> None:
        """As `FileStore.remove`."""
        with suppress(FileNotFoundError), self._errors(name):
            self._system.rm_file(self._place(name))

    def _place(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Raise what the packages of storages raise as an `OSError` that names the file."""
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
            raise OSError(number, _cause(error), f"{self.url}/{name}") from error


def _cause(error: Exception) -> str:
    return str(error.strerror) if isinstance(error, OSError) and error.strerror else reason(error)


def fetch_file(url: str, name: str, target: Path) -> bool:
    """Copy the file `name` at `url`, which a study states, to `target`; False if there is none.

    Raises:
        StudyError: the URL is none, its place cannot be reached, or the disk does not take the file.
    """
    try:
        return UrlStore(check_url(url)).fetch(name, target)
    except (ValueError, OSError) as error:
        raise StudyError(f"files: {name} cannot be fetched: {error}") from error
