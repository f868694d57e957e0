# What `unstuck doctor` says, and the page of a queue says of its settings: one key for each word of `domain::lint::What`.

doctor-database_up = { $engine } is reachable and up to date.
doctor-database_absent = The SQLite file is not there yet; “unstuck serve” creates it at its first start.
doctor-database_behind = { $engine } lacks { $count } migrations; “unstuck serve” applies them when it starts.
doctor-database_newer = { $engine } has migration { $migration }, which this program does not know. Run the newer program, or restore a backup made before it.
doctor-database_down = The database can’t be used: { $detail }.
doctor-clock_ahead = The machine’s clock was set: it is { $span } ahead of the clock that leases and schedules are measured by. That one follows at once when no task is open, else slowly, so that no running task loses its lease.
doctor-clock_behind = The machine’s clock was set: it is { $span } behind the clock that leases and schedules are measured by. That one follows at once when no task is open, else slowly, so that no lease lasts too long.
doctor-amqp_up = Connected to { $address }.
doctor-amqp_silent = { $address } accepts the connection or swallows it, and answers nothing in time. Is the broker frozen, or a firewall in between?
doctor-amqp_unreachable = { $address } can’t be reached: { $detail }. Check the address in UNSTUCK_AMQP_URL and that the broker runs.
doctor-amqp_refused = { $address } refuses the user or the password of UNSTUCK_AMQP_URL, or the user may not use this virtual host: { $detail }.
doctor-amqp_no_vhost = The virtual host of { $address } does not exist: { $detail }.
doctor-amqp_no_amqp = What answers at { $address } does not speak AMQP 0-9-1: { $detail }. Is it the management port, or TLS without amqps://?
doctor-amqp_guest = The user “guest” is used over the network, and its password is known to everybody. Make a user of its own (docs/operations.md has one with the least permissions).
doctor-management_up = RabbitMQ { $version } answers at { $address }.
doctor-management_unreachable = { $address } does not answer: { $detail }. Without it every broker number is unknown and lost messages can’t be found.
doctor-management_refused = { $address } refuses the user: { $detail }. It needs the tag “monitoring”.
doctor-management_strange = { $address } does not answer as RabbitMQ’s management API does: { $detail }. Check UNSTUCK_MANAGEMENT_URL.
doctor-statistics_off = The broker keeps no statistics. Ready and unacknowledged counts are still read; consumers, rates and worker presence are unknown.
doctor-broker_old = RabbitMQ { $version } at { $address } is older than 3.10, the oldest that Unstuck is tested with.
doctor-alarm = The broker’s { $resource } alarm is in force on { $node }: it takes no publishes until it ends.
doctor-queue_fine = Declared as it should be ({ $type }).
doctor-queue_absent = Not declared yet. It is declared by the next task or worker that uses it.
doctor-queue_unread = Its settings can’t be read: { $detail }.
doctor-queue_unknown = Not looked at, because the management API does not answer.
doctor-queue_unsettled = The broker does not list its settings. Try again in a minute; right after a declaration or a restart they are missing.
doctor-not_durable = It is not durable: a restart of the broker drops it with its messages. Drain it, delete it; it is declared anew.
doctor-auto_delete = It deletes itself when its last consumer leaves, with its messages. Drain it, delete it; it is declared anew.
doctor-exclusive = It belongs to one connection and goes with it. Delete it; it is declared anew.
doctor-stream = It is a stream, whose messages never leave it. Use another queue.
doctor-other_type = It is of type { $actual }, not { $expected }. That works; drain it and delete it to have it declared anew.
doctor-no_dead_letter = It has no dead-letter target: what the broker gives up (delivery limit, refusals) is dropped without a trace.
doctor-other_dead_letter = Its dead letters go through the exchange { $actual }; Unstuck does not see them there.
doctor-dead_letter_elsewhere = Its dead letters go to { $actual }, not to { $expected }; Unstuck does not see them there.
doctor-ttl = Its messages expire after { $actual } ms: waiting tasks lose theirs.
doctor-expires = The queue itself expires after { $actual } ms without consumers, with its messages.
doctor-drop_head = It is limited ({ $argument } = { $actual }) and drops its oldest messages when full.
doctor-reject_publish = It is limited ({ $argument } = { $actual }) and refuses publishes when full: starts then wait as “not published”.
doctor-delivery_limit = The broker gives a message up after { $actual } deliveries, perhaps before its task’s attempts are used up ({ $expected } are declared by Unstuck).
doctor-ack_timeout = The broker takes a delivery back after { $timeout }, and 99 of 100 “{ $kind }” runs take up to { $p99 }: longer ones are run again while they run.
doctor-no_priority = It takes priorities up to { $actual }, not { $expected }. Tasks run; higher priorities don’t go first.
doctor-other_argument = { $argument } is { $actual }, not { $expected }.
doctor-no_dead_queue = Its dead-letter queue { $dead } does not exist: what the broker gives up is dropped. The next start of a task on it declares it.
doctor-hoarding = The consumer { $consumer } takes { $prefetch ->
        [0] every message there is
       *[other] { $prefetch } messages ahead
    }: others wait beside a full queue. In that consumer, set a small prefetch.
doctor-one_member = This quorum queue has one member in a cluster of { $nodes } nodes: when that node goes, the queue goes.
doctor-never_times_out = From RabbitMQ 4.3 on, the broker takes no delivery back from a hung consumer of a classic queue. Unstuck’s leases find it all the same.

doctor-mend = mend:
doctor-healthy = Everything is as it should be.
doctor-trouble = { $count ->
    [one] One thing is wrong.
   *[other] { $count } things are wrong.
}
doctor-advice = Nothing is wrong; see the advice above.
grade-ok = ok
grade-advice = advice
grade-wrong = wrong
