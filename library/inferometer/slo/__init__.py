"""Service level objectives: the document, which class a request belongs to, and its verdict.

`spec` reads documents into the records of `document`; `match` picks a class; `verdict` judges one
request, each exactly once. All of it is pure: moments and texts come in, records come out.
"""
