"""From records to tables, fits, claims, figures and reports."""
