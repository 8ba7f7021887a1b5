"""The page of a study: one document, one script and one style, which two front ends show.

`nas.report` writes the page with its data inlined, one file that opens without a network. `nas.dashboard` serves the same page
and sends what changes while a study is searched.

    document.py      a study as the JSON that the script reads, and its changes
    detail.py        one trial in detail; `detail_chunks.py`: of all trials, compressed
    assets.py        the script (`script/`), the style (`style/`) and the document's shell
"""
