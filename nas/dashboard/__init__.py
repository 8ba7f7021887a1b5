"""The dashboard: a server that shows studies while they are searched, in the page that reports have, too.

    addresses.py       the socket, and the names under which the server may be asked
    connections.py     browsers that send no whole request
    security.py        the guard before every request
    application.py     which address gives what
    static_files.py    plotly.js, the page's script and its style
    places.py          where studies are found
    loaded_study.py    one study, read on from where it was read to
    study_feed.py      one study that is read again and again
    study_answers.py   what browsers ask of it
    summary.py         what the start page says of it
    background.py      findings that take a while
    hub.py             all studies, and who listens to them
    event_stream.py    server-sent events
    server.py          the process

It reads studies and changes nothing of them but notes and pins; beside a large one it keeps a file of its columns.
"""
