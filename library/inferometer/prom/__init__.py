"""Questions to a Prometheus, a Thanos or a Mimir, and answers that cannot be mistaken.

`answer` says what a number is if it is one; `decode` reads what a stranger sent; `client` asks.
What is asked, and what follows from it, belongs into the components above.
"""
