"""The gate of a CI: a record held against its budget, its floors and a baseline."""
