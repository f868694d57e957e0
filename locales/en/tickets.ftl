# Problem reports and the tickets that staff make of them.

ticket-status-new = New
ticket-status-open = Open
ticket-status-waiting = Waiting for the reporter
ticket-status-resolved = Resolved
ticket-status-closed = Closed
