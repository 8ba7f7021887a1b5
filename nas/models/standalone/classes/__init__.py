"""The classes of one network as code, from the sources of its layers. `network_classes` is the place to begin.

- `recording` notes with which arguments each module was constructed, `inspection` sorts the modules by class.
- A constructor stays as it is written (`constructors`), or is written anew for all instances of its class (`generalise`).
- `called_methods` are those that the network needs; `inlining` replaces calls of base classes that are not part of the file.
- `following` finds the functions and constants that the code refers to.
"""
