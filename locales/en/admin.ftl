# The audit log.

audit-title = Audit
audit-lead = Who did what, when and why. Nothing in this log is ever changed or deleted.
audit-what = What
audit-outcome = Outcome
audit-actor = Who
audit-actor-example = e-mail, or token:name
audit-action = Action
audit-action-any = Any
audit-target-id = What it was done to
audit-reason = Reason
audit-when = When
audit-details = Details
audit-address = Address
audit-request = Request
audit-before = Before
audit-after = After
audit-none = Nothing has been done yet
audit-none-text = Every action of a person or program, and every sign-in, is written down here.
audit-none-found = No entry matches
audit-none-found-text = Nothing fits these filters. An e-mail, an id and a request must be given whole.

actor-user = person
actor-token = program
actor-worker = worker
actor-system = Unstuck itself

audit-action-retry = Retry
audit-action-requeue = Requeue
audit-action-cancel = Cancel
audit-action-rerun = Run again
audit-action-start = Start
audit-action-login = Sign in
audit-action-logout = Sign out
audit-action-user_add = Add a person
audit-action-user_disable = Disable a person
audit-action-user_reset_password = Reset a password
audit-action-token_create = Create a token
audit-action-token_revoke = Revoke a token
audit-target-task = task
audit-target-user = person
audit-target-token = token
audit-target-ticket = ticket
