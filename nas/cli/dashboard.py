"""`nas dashboard`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.app import Verbose, app, expand_path
from nas.cli.completion import complete_folder

DEFAULT_PORT = 8080


def expand_paths(paths: list[Path] | None) -> list[Path]:
    """`paths`, each with `~` expanded."""
    return [path for path in map(expand_path, paths or []) if path is not None]


@app.command()
def dashboard(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIR...",
            callback=expand_paths,
            autocompletion=complete_folder,
            help="The folder of a study, or a folder with studies in it or below it; new ones are found, too.",
        ),
    ] = None,
    storages: Annotated[
        list[str] | None,
        typer.Option("--storage", metavar="URL", help="An Optuna storage with studies, such as postgresql://HOST/DB."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="HOST", help="The address to listen on; another than this machine's own needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="The port to listen on; 0: any free port.")
    ] = DEFAULT_PORT,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    verbose: Verbose = False,
) -> None:
    """Show studies in the browser, live while they are searched.

    The page shows what `nas report` writes. The server only reads, but for notes and pins; Ctrl-C ends it.
    """
    from nas.dashboard.addresses import open_socket
    from nas.dashboard.places import check_folders

    chosen, urls = folders or [], storages or []
    check_folders(chosen, urls)
    check_storages(urls)
    listening, address = open_socket(host, port)
    with listening:
        from nas.dashboard.security import create_token

        token = None if address.is_loopback else create_token()
        url = address.url if token is None else f"{address.url}?token={token}"
        print(f"dashboard: {url}", flush=True)
        if token is not None:
            text = f"other machines can reach {host}: who has this address sees the studies and may write notes"
            print(f"nas: {text}", file=sys.stderr)

        warn_of_empty(chosen)

        from nas.dashboard.server import open_browser, serve

        if open_page:
            open_browser(url)
        serve(listening, address, chosen, urls, token)


def check_storages(urls: list[str]) -> None:
    """Raise `UsageError` for a storage that cannot be read."""
    if urls:
        from nas.study.database.reader import list_studies

        for url in urls:
            list_studies(url)


def warn_of_empty(folders: list[Path]) -> None:
    """Say which of `folders` have no study yet."""
    from nas.dashboard.places import find_studies
    from nas.formatting import printable

    for folder in folders:
        if not find_studies([folder]):
            text = f"{printable(folder)}: holds no study yet; one that starts in it or below it is shown"
            print(f"nas: {text}", file=sys.stderr)
