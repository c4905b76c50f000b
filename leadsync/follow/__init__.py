"""Following: talks go into the CRM as they are written, for months; troubles are states that end by themselves.

source → Feed: what changed and is quiet → Inbox: a bounded number of records → lanes → the CRM → the source lets go

service.py    opens, follows, reloads, drains        feed.py      one source that is read
crew.py       all who work on one open pipeline      settling.py  talks that are waited for until they are quiet
bringing.py   the lanes                              refusals.py  records that were refused as they are
states.py     what keeps them from sending           inbox.py     records that wait for a lane
pace.py       how many lanes are of use
"""
