"""One offline HTML page of all records and asv results: what is read, its model, and the page."""
