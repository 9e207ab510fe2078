"""Call history into a file, whole or not at all: `export_calls` (Parquet needs the extra `[parquet]`)."""

from .run import ExportProgress, ExportReport, Format, export_calls

__all__ = ["ExportProgress", "ExportReport", "Format", "export_calls"]
