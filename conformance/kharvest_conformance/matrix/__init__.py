"""A page that compares what several runs reported: a row a test, by the place of its clause, and a column a store."""

from kharvest_conformance.matrix._comparison import Comparison, compared
from kharvest_conformance.matrix._html import as_html
from kharvest_conformance.matrix._markdown import as_markdown
from kharvest_conformance.matrix._reports import InvalidReport

__all__ = ["Comparison", "InvalidReport", "as_html", "as_markdown", "compared"]
