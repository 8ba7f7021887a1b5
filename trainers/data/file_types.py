"""Which files are images: by the suffix where it says so, otherwise by the first bytes.

What Pillow decodes in a format of `FORMATS` is an image, whatever the name of its file. `FORMATS` leaves out those formats
whose decoders start another program or read other files (EPS and PDF run Ghostscript, WMF calls the system), those that are
no pictures (FITS, GRIB, HDF5, MPEG), and rare ones. Every `Image.open` of this package is given `FORMATS`.

A file with the suffix of an image is taken for one without being opened: there may be millions. One with a suffix of
`OTHER_SUFFIXES` is none. Any other file (no suffix, `.jpg_large`, `.1`, a name that begins with a dot) is opened, and its
first bytes decide.
"""

from __future__ import annotations

import os

from trainers.disk import is_disk_error

FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "DIB", "ICO", "CUR", "ICNS", "PCX"),
    *("PSD", "QOI", "SGI", "SUN", "DDS", "XBM", "XPM", "TGA"),  # TGA has no signature, so it is tried last
)
"""Pillow's names of the formats that are read, the most frequent first: Pillow tries them in this order. MPO is read as JPEG."""

_IMAGE_SUFFIXES = (
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .ppm .pgm .pbm .pnm .pfm .avif .avifs .jp2 .j2k "
    ".jpc .jpf .jpx .j2c .ico .cur .icns .pcx .psd .qoi .sgi .rgb .rgba .bw .ras .dds .xbm .xpm .tga .icb .vda .vst"
)
IMAGE_SUFFIXES = frozenset(_IMAGE_SUFFIXES.split())
"""The suffixes that Pillow knows for `FORMATS`, in lower case."""

_OTHER_SUFFIXES = (
    # Text, tables, annotations and code; checksums and links.
    ".txt .md .rst .csv .tsv .json .jsonl .ndjson .xml .yaml .yml .toml .ini .cfg .conf .log .html .htm .css .js .ts .php "
    ".url .lnk .webloc .md5 .sha1 .sha256 .lst .names .cls .py .pyc .ipynb .r .m .sh .bat .ps1 .cpp .c .h .java .tex .bib "
    # Documents and archives.
    ".pdf .doc .docx .xls .xlsx .ppt .pptx .odt .ods .rtf .zip .tar .gz .tgz .bz2 .xz .7z .rar .zst .iso .dmg "
    # Arrays, models and databases.
    ".npy .npz .mat .h5 .hdf .hdf5 .pkl .pickle .pt .pth .ckpt .onnx .safetensors .parquet .arrow .feather .tfrecord .lmdb "
    ".mdb .db .sqlite .sqlite3 .bin "
    # Pictures that Pillow does not decode, or only a thumbnail of them, or not safely.
    ".heic .heif .jxl .svg .svgz .eps .ps .ai .wmf .emf .fits .fit .fts .dcm .dicom .nii .nrrd .mha .mhd .exr .hdr .dng .cr2 "
    ".cr3 .crw .nef .nrw .arw .srf .sr2 .orf .rw2 .raf .pef .srw .raw .xcf .kra .cdr .djvu .svs .ndpi .czi .lif .oib .oif "
    # Sound and video.
    ".mp4 .avi .mov .mkv .webm .wmv .flv .m4v .mpg .mpeg .mp3 .wav .flac .ogg .m4a .aac "
    # Downloads and files that are not complete.
    ".part .partial .crdownload .download .tmp .temp .lock .swp"
)
OTHER_SUFFIXES = frozenset(_OTHER_SUFFIXES.split())
"""Suffixes of files that are no images, in lower case; such files are not opened."""

FREQUENT_TYPES = "jpg, jpeg, png, webp, gif, bmp, tif, ppm, pgm, avif, jp2, ..."
"""Suffixes that an error names."""

SIGNATURE_BYTES = 32
_SIGNATURES = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *(b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n", b"qoif", b"8BPS", b"DDS ", b"icns", b"\x59\xa6\x6a\x95"),
    *(b"/* XPM */", b"\x01\xda\0\x01", b"\x01\xda\x01\x01", b"\x01\xda\0\x02", b"\x01\xda\x01\x02"),
)
_NETPBM = frozenset(b"P%d" % number for number in range(1, 8)) | {b"Pf", b"PF"}

SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", ".nomedia", ".picasa.ini"})
"""Files that systems and tools put into folders, in lower case."""
SYSTEM_FILE_PREFIXES = ("._", ".trashed-", ".pending-", ".nfs", ".fuse_hidden", ".~lock.")
"""Beginnings of their names: resource forks of macOS, files that Android deletes or writes, files deleted while open."""
SYSTEM_FOLDERS = frozenset(
    {
        *("__macosx", ".appledouble", ".appledb", ".spotlight-v100", ".fseventsd", ".temporaryitems", ".thumbnails"),
        *(".documentrevisions-v100", "$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle"),
        *("@recycle", ".@__thumb", "#snapshot", ".snapshot", ".git", ".github", ".svn", ".hg", ".dvc", ".venv", ".tox"),
        *(".idea", ".vscode", ".ipynb_checkpoints", "__pycache__", ".cache", ".huggingface", ".kaggle", ".mypy_cache"),
        *(".pytest_cache", ".ruff_cache"),
    }
)
"""Folders of systems and tools, in lower case. Their files may be images, and are copies, thumbnails or deleted."""
SYSTEM_FOLDER_PREFIXES = (".trash",)


def is_system_folder(name: str) -> bool:
    """Whether a folder called `name` is one of a system or a tool."""
    return name[0] in ".@#$_lLsS" and (
        name.lower() in SYSTEM_FOLDERS or name.lower().startswith(SYSTEM_FOLDER_PREFIXES)
    )


def is_system_file(name: str) -> bool:
    """Whether a file called `name` is one of a system or a tool."""
    return name[0] in ".tTeEdDiI" and (name.lower() in SYSTEM_FILES or name.lower().startswith(SYSTEM_FILE_PREFIXES))


def suffix_of(name: str) -> str:
    """The suffix of a file called `name`, in lower case: ".jpg"; empty if it has none."""
    _, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot else ""


def has_image_signature(path: str) -> bool:
    """Whether the regular file `path` begins like an image in one of `FORMATS`; False if it cannot be read.

    Raises:
        OSError: the disk or the machine fails, which says nothing about the file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        if is_disk_error(error):
            raise
        return False
    try:
        return is_image_signature(os.read(descriptor, SIGNATURE_BYTES))
    except OSError as error:
        if is_disk_error(error):
            raise
        return False
    finally:
        os.close(descriptor)


def is_image_signature(start: bytes) -> bool:
    """Whether a file that begins with the bytes `start` may be an image in one of `FORMATS` that has a signature."""
    if start.startswith(_SIGNATURES):
        # "BM" alone is also the begin of a text: a bitmap has two reserved numbers, which are zero.
        return not start.startswith(b"BM") or start[6:10] == bytes(4)
    if start[:4] == b"RIFF":
        return start[8:12] == b"WEBP"
    if start[4:8] == b"ftyp":
        return start[8:12] in (b"avif", b"avis", b"mif1") and b"avi" in start[8:]
    return start[:2] in _NETPBM and start[2:3] in (b" ", b"\n", b"\r", b"\t", b"#")
