"""One file per API; each opens with its versions, what each added, and what we leave out.

`kstore.broker.dispatch` collects the `API` of every file here that `API_MODULES` names.
"""
