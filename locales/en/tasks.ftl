# Tasks: their states, attempts and pages.

state-new = New
state-queued = Queued
state-running = Running
state-succeeded = Succeeded
state-failed = Failed
state-cancelled = Cancelled

outcome-running = Running
outcome-succeeded = Succeeded
outcome-failed = Failed
outcome-lost = Lost
outcome-released = Handed back
outcome-superseded = Superseded
outcome-cancelled = Cancelled
