"""Exports: the lake's bars, actions and reference data in the layouts of other tools; only changes are written."""

from quantx.reader.export.layouts import LAYOUTS
from quantx.reader.export.request import ExportReads, ExportRequest
from quantx.reader.export.run import ExportResult, OnProgress, run_export

__all__ = ["LAYOUTS", "ExportReads", "ExportRequest", "ExportResult", "OnProgress", "run_export"]
