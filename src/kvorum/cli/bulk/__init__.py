"""Storing much at once, for `import` and `snapshot restore`.

    source -> batches -> requests under way -> acknowledged in the source's order -> position saved

items          what a source gives: entries, records, and what is neither
pipeline       batches, several under way, sent again until stored or given up
entry_sink     stores entries as new writes
record_sink    merges records with their versions
position       how far it is, in a file
watch          shows how far it is, saves it, and says how to go on
run            all of that together, until a signal stops it
options        the options that these commands share
"""
