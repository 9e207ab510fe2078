"""Write call history into a file, whole or not at all (Parquet needs the extra `[parquet]`)."""

from .run import ExportProgress, ExportReport, Format, export_calls

__all__ = ["ExportProgress", "ExportReport", "Format", "export_calls"]
