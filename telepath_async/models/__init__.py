"""What the API's JSON becomes: attrs classes and open enumerations, nothing else.

Every class keeps the fields that it does not know in `extra`. A field that the answer left out is
None.
"""
