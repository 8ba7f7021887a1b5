"""The storage of a study that several drivers share: a PostgreSQL database, named by its URL.

    postgresql://USER[:PASSWORD]@HOST[:PORT]/DATABASE

`DIR/storage.json` holds the URL and the name of the study in the database. The password is never part of what is shown or
written: it stays in `StorageUrl.password`, or comes from PGPASSWORD or `~/.pgpass`, where PostgreSQL's library looks for it.

Somebody else may have written the file, so a URL has only options that name no file of this machine.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote

from nas.errors import UsageError
from nas.study.layout import STORAGE
from trainers.files import atomic_write
from trainers.input_files import open_regular

if TYPE_CHECKING:
    import sqlalchemy

FORM = "postgresql://USER@HOST/DATABASE"
SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
SECRET_PARAMETERS = ("password", "sslpassword", "passwd")
CONNECTION_OPTIONS = (
    *("host", "port", "sslmode", "sslnegotiation", "channel_binding", "require_auth", "gssencmode", "connect_timeout"),
    *("application_name", "target_session_attrs", "options", "keepalives", "keepalives_idle", "keepalives_interval"),
    *("keepalives_count", "tcp_user_timeout", "client_encoding"),
)
"""The options that a URL may have."""
FILE_OPTIONS = {
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "servicefile": "PGSERVICEFILE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
}
"""Options that name a file of this machine -> the environment variable that PostgreSQL's library reads instead."""
MAX_PORT = 65_535
MAX_URL_CHARACTERS = 10_000
MAX_FILE_CHARACTERS = 100_000
_PARTS = re.compile(
    r"(?P<scheme>[a-z+]+)://((?P<user>[^:@/?]*)(:(?P<password>.*))?@)?(?P<rest>[^@?]*)(?P<query>\?[^@]*)?", re.DOTALL
)


def without_password(text: str) -> str:
    """`text` with the password of the URL in it, if it has one, replaced by `***`."""
    hidden = re.sub(r"(://[^/\s:@]*):.*@", r"\1:***@", text, flags=re.DOTALL)
    return re.sub(r"(?<![\w%])([\w%]+)=[^&\s]*", _hide_secret, hidden)


def _hide_secret(option: re.Match[str]) -> str:
    return f"{option[1]}=***" if unquote(option[1]).lower() in SECRET_PARAMETERS else option[0]


@dataclass(frozen=True)
class StorageUrl:
    """The URL of a PostgreSQL database.

    Args:
        text: the URL without a password.
        password: the password; None: PostgreSQL's library finds it, or none is needed.
    """

    text: str
    password: str | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, place: str = "storage") -> StorageUrl:
        """The URL in `text`, which may have a password.

        Args:
            text: the URL.
            place: the option or key that errors name.

        Raises:
            UsageError: it is no URL of a PostgreSQL database.
        """
        parts = _PARTS.fullmatch(text)
        shown = without_password(f"{text.partition(':')[0]}:***@{text.rpartition('@')[2]}" if "@" in text else text)
        rule = f"{place}: must be a URL such as {FORM}, found {shown!r}"
        if parts is None or parts["scheme"] not in SCHEMES:
            raise UsageError(rule)
        query = parts["query"] or ""
        _check_options(query, place, shown)
        if not unquote(parts["rest"]).isprintable() or len(text) > MAX_URL_CHARACTERS:
            raise UsageError(rule)
        user = "" if parts["user"] is None else f"{parts['user']}@"
        password = None if parts["password"] is None else unquote(parts["password"])
        url = cls(f"postgresql://{user}{parts['rest']}{query}", password)
        try:
            parsed = url.to_sqlalchemy()
        except ValueError:  # such as a port that is no number
            raise UsageError(rule) from None
        if not parsed.database or not 0 < (parsed.port or 1) <= MAX_PORT:
            raise UsageError(rule)
        return url

    def to_sqlalchemy(self) -> sqlalchemy.URL:
        """The URL with the password and the driver."""
        import sqlalchemy  # here, since commands that read a folder need not import it

        url = sqlalchemy.make_url(self.text).set(drivername="postgresql+psycopg")
        return url if self.password is None else url.set(password=self.password)

    def redact(self, text: str) -> str:
        """`text` without the password."""
        if not self.password:
            return without_password(text)
        return without_password(text.replace(self.password, "***").replace(quote(self.password, safe=""), "***"))

    def __str__(self) -> str:
        return self.text


def _check_options(query: str, place: str, shown: str) -> None:
    """Raise `UsageError` unless the options in `query` are some of `CONNECTION_OPTIONS`, each given once."""
    names = [name.lower() for name, _ in parse_qsl(query.removeprefix("?"), keep_blank_values=True)]
    for name in names:
        if name in SECRET_PARAMETERS:
            raise UsageError(f"{place}: a password must be given as USER:PASSWORD@, found {shown!r}")
        if name in FILE_OPTIONS:
            rule = f"must name no file of this machine, found the option {name!r}"
            raise UsageError(f"{place}: {rule}; set the environment variable {FILE_OPTIONS[name]} instead")
        if name not in CONNECTION_OPTIONS:
            raise UsageError(f"{place}: options must be some of {', '.join(CONNECTION_OPTIONS)}, found {name!r}")
        if names.count(name) > 1:
            raise UsageError(f"{place}: options must be given once, found {name!r} twice")


@dataclass(frozen=True)
class StoragePlace:
    """A study in a database.

    Args:
        url: the database.
        name: the name of the study in it.
    """

    url: StorageUrl
    name: str

    @classmethod
    def of_folder(cls, folder: Path) -> StoragePlace | None:
        """The place that the file in `folder` names; None: there is no such file.

        Raises:
            UsageError: the file is damaged.
        """
        file = folder / STORAGE
        try:
            with os.fdopen(open_regular(file, os.O_RDONLY), encoding="utf-8") as opened:
                text = opened.read(MAX_FILE_CHARACTERS)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
        try:
            plain = json.loads(text)
            url, name = plain["url"], plain["study"]
        except (ValueError, KeyError, TypeError, RecursionError):
            url = name = None
        if not (isinstance(url, str) and isinstance(name, str)):
            raise UsageError(f'{file}: must be {{"url": "{FORM}", "study": NAME}}, and is something else')
        return cls(StorageUrl.parse(url, str(file)), name)

    def write(self, folder: Path) -> None:
        """Write the file in `folder`, without the password."""
        with atomic_write(folder / STORAGE) as temporary:
            temporary.write_text(json.dumps({"url": self.url.text, "study": self.name}) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        return f"study {self.name} in {self.url}"
