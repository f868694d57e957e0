# The frame of every page, units, and words that several areas use.

skip-to-content = Skip to the content
language = Language
theme = Colours
theme-system = System
theme-light = Light
theme-dark = Dark

nav-label = Main
nav-overview = Overview
nav-stalls = Stalls
nav-tasks = Tasks
nav-queues = Queues
nav-tickets = Tickets
nav-rules = Rules
nav-audit = Audit
nav-count-stalls = open
nav-count-tickets = waiting for an answer

links-label = Links
link-database = Database
link-publisher = Publishing
link-consumer = Consuming
link-management = Broker figures
link-outbox = Outbox
link-health-up = up
link-health-connecting = connecting
link-health-blocked = blocked
link-health-down = down
link-health-unknown = unknown
link-cause-unreachable = Nothing answers at its address.
link-cause-refused = It refused our user or password.
link-cause-vhost_not_found = The virtual host does not exist.
link-cause-protocol_error = What answers there is not what was expected.
link-cause-timed_out = It does not answer in time.
link-cause-closed = The connection was lost and is being made again.
link-cause-alarm = An alarm is in force on the broker.
link-cause-full = As many messages wait for the broker as may: starts are refused with 503 until it takes them. Nothing that was accepted is lost.
link-cause-unasked = Another process of this installation asks for all, or this one has just begun.

live-on = Live
# {time}, put in by the page itself, is when what is shown was read.
live-off = Not live: as of { $time }
live-held = Waits while you select: as of { $time }
live-gone = Signed out: as of { $time }

account-menu = Account and settings
sign-out = Sign out
role-viewer = Viewer
role-operator = Operator
role-admin = Administrator

unknown = unknown
none = none
copy = Copy
copied = Copied
pager-label = Pages
pager-first = First page
pager-next = Older
reason-required = Reason (required)
reason-optional = Reason

unit-ms = { $n } ms
unit-s = { $n } s
unit-min = { $n } min
unit-h = { $n } h
unit-d = { $n } d

time-ago-second = { $n }s ago
time-ago-minute = { $n }m ago
time-ago-hour = { $n }h ago
time-ago-day = { $n }d ago
time-in-second = in { $n }s
time-in-minute = in { $n }m
time-in-hour = in { $n }h
time-in-day = in { $n }d
