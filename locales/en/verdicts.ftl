# What the detector found: names, sentences, evidence, remedies.

verdict-unpublished = Not published
verdict-message_lost = Message lost
verdict-worker_lost = Worker lost
verdict-worker_silent = Worker silent
verdict-overdue = Overdue
verdict-no_consumers = No consumers
verdict-consumers_stuck = Consumers stuck
verdict-backlog = Backlog
verdict-ledger_short = Ledger short
verdict-ledger_over = Ledger over
verdict-queue_missing = Queue missing
verdict-broker_alarm = Broker alarm
verdict-unknown = Unknown

confidence-proven = proven
confidence-likely = likely

health-ok = OK
health-warning = Warning
health-stalled = Stalled
health-unknown = Unknown
