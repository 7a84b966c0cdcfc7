"""The admin port of a program: metrics, health and whatever else it shows, on a thread of its own.

`server` serves routes; the other modules are its parts: heads and answers (`heads`), who may see
what (`access`, `config`, `tls`, `door`), and one connection (`link`).
"""
