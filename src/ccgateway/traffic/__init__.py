"""Who may take how much of what all callers share: fair turns, places at sites, and memory for answers.

A request's scope travels in a context variable, so that every task that works for a request has it without being handed it.

fair_queue  places given out in turn: caller by caller, request by request, small questions before large ones
budget      bytes of answers in memory
fair_loop   processor time: the event loop, on which whoever has used least of it goes next
scopes      what one request takes, and the scope of the running task
admission   requests let in, one share for each caller
turns       who waits to begin, in the order in which they will
overload    when requests begin, and how many are let in at all when there are more than the process can work on
"""
