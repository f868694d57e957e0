# 检测结果：名称、说明、证据与处理办法。

verdict-unpublished = 未发布
verdict-message_lost = 消息丢失
verdict-worker_lost = 工作进程丢失
verdict-worker_silent = 工作进程无响应
verdict-overdue = 超时
verdict-crash_loop = 反复崩溃
verdict-cancel_ignored = 取消被忽略
verdict-double_run = 重复执行
verdict-dead_lettered = 已入死信
verdict-ack_deadline = 投递即将被收回
verdict-no_consumers = 无消费者
verdict-consumers_stuck = 消费者卡住
verdict-backlog = 积压
verdict-ledger_short = 对账短缺
verdict-ledger_over = 对账多出
verdict-queue_missing = 队列不存在
verdict-queue_mismatch = 队列设置不符
verdict-broker_alarm = 代理告警
verdict-unknown = 未知

confidence-proven = 已证实
confidence-likely = 很可能

health-ok = 正常
health-warning = 警告
health-stalled = 停滞
health-unknown = 未知

# 代替处理建议。
remedy-old-numbers = 暂不给出建议：代理的数字已过旧或缺失，实际情况可能已经不同。请确认代理及其管理 API 能够应答。

# 单个任务。说明旁的证据列出每个数字及其来源与时效。

stall-unpublished-untried = 该任务到期已 { $due_ago }，其消息的发布尝试尚无一次结束。
stall-unpublished-untried-remedy = 请检查 “unstuck serve” 是否在运行并能连上代理。一旦连上，消息即会发出，不会丢失。
stall-unpublished-unreachable = 该任务到期已 { $due_ago }，其消息无法发布：连不上代理。
stall-unpublished-unreachable-remedy = 请修复代理或到代理的连接，之后消息会自动发出。
stall-unpublished-blocked = 该任务到期已 { $due_ago }，其消息无法发布：代理暂不接受发布。
stall-unpublished-blocked-remedy = 请释放代理的内存或磁盘空间，之后消息会自动发出。
stall-unpublished-nacked = 该任务到期已 { $due_ago }，代理拒绝将其消息存入 “{ $queue }”：队列已满，或代理写入失败。
stall-unpublished-nacked-remedy = 请检查队列的长度上限和代理日志。消息会自动重试。
stall-unpublished-unroutable = 该任务到期已 { $due_ago }，代理退回了其消息：不存在队列 “{ $queue }”。
stall-unpublished-unroutable-remedy = 请声明该队列，或由 Unstuck 声明，之后消息会自动发出。
stall-unpublished-unconfirmed = 该任务到期已 { $due_ago }；消息已发送，但代理尚未确认。
stall-unpublished-unconfirmed-remedy = 请检查代理的负载与日志。消息会反复发送直到确认，多出的副本无害。
stall-unpublished-refused = 该任务到期已 { $due_ago }，代理拒绝我们向 “{ $queue }” 发布。
stall-unpublished-refused-remedy = 请授予代理用户写权限，之后消息会自动发出。
stall-unpublished-queue_mismatch = 该任务到期已 { $due_ago }，其队列 “{ $queue }” 的参数与 Unstuck 所需不同。
stall-unpublished-queue_mismatch-remedy = 请在队列为空时删除它以便重新声明，或在此处把类型改成与代理一致。

stall-message_lost-empty = 代理在 { $published_ago } 前确认了该任务的消息，但现已不再持有：在跨越 { $span } 的 { $readings } 次读数中，“{ $queue }” 没有任何消息。
stall-message_lost-empty-remedy = 请重新入队。若旧消息之后出现，会被丢弃。
stall-message_lost-accounted = 代理在 { $published_ago } 前确认了该任务的消息，但现已不再持有：“{ $queue }” 中没有就绪消息，{ $unacknowledged } 条未确认消息都属于正在运行的任务。
stall-message_lost-accounted-remedy = 请重新入队。若旧消息之后出现，会被丢弃。
stall-message_lost-no_queue = 代理在 { $published_ago } 前确认了该任务的消息；其队列 “{ $queue }” 已不存在，消息随之消失。
stall-message_lost-no_queue-remedy = 请重新声明队列，然后重新入队。
stall-message_lost-behind_head = 代理在 { $published_ago } 前确认了该任务的消息。“{ $queue }” 中最早的消息更晚，发布于 { $head_ago } 前，且至少有 { $missing } 个任务没有消息。
stall-message_lost-behind_head-remedy = 请重新入队。若旧消息仍在，到达时会被丢弃。
stall-message_lost-overtaken = 代理在 { $published_ago } 前确认了该任务的消息，而 “{ $queue }” 中有 { $overtaken_by } 条更晚的消息先被派发；消费者最多缓冲 { $prefetch } 条。
stall-message_lost-overtaken-remedy = 请重新入队。若旧消息仍在，到达时会被丢弃。
stall-message_lost-traced = 代理在 { $published_ago } 前确认了该任务的消息，但现已不再持有。在它之后发往 “{ $queue }” 的探针消息分别于 { $tracer_delivered_ago } 前和 { $second_tracer_ago } 前被派发；其间没有消费者持有该任务的消息，也没有任何消息被重复派发。
stall-message_lost-traced-remedy = 请重新入队。若旧消息之后出现，会被丢弃。

stall-worker_lost-recovering = 工作进程 “{ $worker }” 已消失：第 { $attempt } 次尝试的租约已在 { $lease_over } 前到期，其与代理的连接已关闭。消息会自动再次发出；“{ $queue }” 有 { $consumers } 个消费者可以接手。
stall-worker_lost-recovering-remedy = 请等待：空闲的工作进程会接手。若全都繁忙，请增加工作进程。
stall-worker_lost-no_taker = 工作进程 “{ $worker }” 已消失：第 { $attempt } 次尝试的租约已在 { $lease_over } 前到期，其与代理的连接已关闭。消息会自动再次发出，但没有人消费 “{ $queue }” 来接手。
stall-worker_lost-no_taker-remedy = 请为该队列启动工作进程。
stall-worker_lost-taker_unknown = 工作进程 “{ $worker }” 已消失：第 { $attempt } 次尝试的租约已在 { $lease_over } 前到期，其与代理的连接已关闭。“{ $queue }” 是否有其他消费者尚不可知。
stall-worker_lost-taker_unknown-remedy = 请检查该队列的工作进程是否在运行。消息会自动再次发出。
stall-worker_lost-unseen = 第 { $attempt } 次尝试的租约已在 { $lease_over } 前到期。代理上没有、也从未有过名为 “{ $worker }” 的消费者：该工作进程可能已消失，也可能以其他名称消费。
stall-worker_lost-unseen-remedy = 请查看该工作进程。消息会自动再次发出供他人接手；该次尝试的迟到结果会被拒绝并保留。

stall-worker_silent-recovering = 工作进程 “{ $worker }” 仍连接着代理，但已停止续租：第 { $attempt } 次尝试的租约已在 { $lease_over } 前到期。消息会自动再次发出；“{ $queue }” 有 { $consumers } 个消费者。
stall-worker_silent-recovering-remedy = 请等待其他工作进程接手。若它的其他任务也都无响应，请重启它。
stall-worker_silent-no_taker = 工作进程 “{ $worker }” 仍连接着代理，但已停止续租：第 { $attempt } 次尝试的租约已在 { $lease_over } 前到期。没有人消费 “{ $queue }” 来接手。
stall-worker_silent-no_taker-remedy = 请为该队列启动工作进程，并重启无响应的那个。
stall-worker_silent-taker_unknown = 工作进程 “{ $worker }” 仍连接着代理，但已停止续租：第 { $attempt } 次尝试的租约已在 { $lease_over } 前到期。“{ $queue }” 是否有其他消费者尚不可知。
stall-worker_silent-taker_unknown-remedy = 请检查该队列的工作进程，并重启无响应的那个。

stall-overdue-plain = 第 { $attempt } 次尝试已运行 { $started_ago }，而其超时为 { $threshold }。工作进程仍然存活。
stall-overdue-plain-remedy = 取消该任务，或让它继续。
stall-overdue-unusual = 第 { $attempt } 次尝试已运行 { $started_ago }，对 “{ $kind }” 来说并不寻常：最近七天成功的 { $samples } 次运行中，99% 在 { $p99 } 内结束，最长的也不超过 { $longest }。它没有设置超时，工作进程仍然存活。
stall-overdue-unusual-remedy = 查看其进度和工作进程的日志。如果卡住了，请取消该任务；如果仍在工作，让它继续。为任务设置超时（timeout_s）后，就改以该超时为准。

stall-unknown-plain = 第 { $attempt } 次尝试的租约已在 { $lease_over } 前到期，无法判断工作进程 “{ $worker }” 是否存活：缺少代理的数字。
stall-unknown-plain-remedy = 请修复与管理 API 的连接。其间消息会自动再次发出。

stall-crash_loop-trying = 自上次授予尝试次数以来，该任务已 { $lost_attempts } 次失去工作进程，最近一次是 “{ $worker }”。它会被再次尝试，最多 { $max_attempts } 次。
stall-crash_loop-trying-remedy = 请查看它对工作进程做了什么：内存、磁盘或崩溃。若不应再运行，请取消它；同一工作进程的其他任务可能受牵连。
stall-crash_loop-gave_up = 该任务已失败：有 { $lost_attempts } 次尝试以工作进程死亡告终，最近一次是 “{ $worker }”。
stall-crash_loop-gave_up-remedy = 请查看它对工作进程做了什么：内存、磁盘或崩溃。修复后再重试，必要时更换负载。

stall-cancel_ignored-plain = 该任务已在 { $cancelled_ago } 前被取消，而工作进程 “{ $worker }” 仍在继续第 { $attempt } 次尝试：其最近一次心跳在 { $beat_ago } 前。
stall-cancel_ignored-plain-remedy = 请结束该程序，或重启工作进程。租约到期后任务会自动取消；在此之前该次尝试的报告仍然有效。

stall-double_run-plain = 第 { $attempt } 次尝试已被放弃，其工作进程 “{ $worker }” 却在第 { $next_attempt } 次尝试（“{ $next_worker }”）开始之后报告成功。两次都做了这项工作；除非该报告只是被延误，否则它们曾同时运行。
stall-double_run-plain-remedy = 请检查两次尝试在外部写下了什么。第 { $attempt } 次尝试的结果未被采用，可在时间线上看到。

stall-ack_deadline-plain = 第 { $attempt } 次尝试已运行 { $started_ago } 并持有投递；代理会在 { $ack_timeout } 后收回 “{ $queue }” 的投递，即还有 { $ack_left }。该次尝试不会很快结束。
stall-ack_deadline-plain-remedy = 请把该队列的消费者超时（策略键 consumer-timeout）调到高于最长的任务。否则代理会关闭该工作进程的通道并再派发一份副本；Unstuck 的工作进程会丢弃它，其他消费者可能会运行它。

stall-dead_lettered-expired = 该任务的消息在 “{ $queue }.dead” 中：超过了存活时间。没有人会运行该任务。
stall-dead_lettered-expired-remedy = 请去掉队列的存活时间（参数或策略），然后重新入队。
stall-dead_lettered-rejected = 该任务的消息在 “{ $queue }.dead” 中：被某个消费者拒绝。没有人会运行该任务。
stall-dead_lettered-rejected-remedy = 请查明是哪个程序拒绝了该队列的消息：Unstuck 的工作进程从不这样做。然后重新入队。
stall-dead_lettered-overflowed = 该任务的消息在 “{ $queue }.dead” 中：队列达到了长度上限。没有人会运行该任务。
stall-dead_lettered-overflowed-remedy = 请提高或去掉长度上限，或改为拒绝发布（overflow: reject-publish），然后重新入队。
stall-dead_lettered-delivery_limit = 该任务的消息在 “{ $queue }.dead” 中：派发次数超过了队列的投递上限。没有人会运行该任务。
stall-dead_lettered-delivery_limit-remedy = 请查看它对工作进程做了什么，提高投递上限，然后重新入队。
stall-dead_lettered-by_worker = 该任务的消息在 “{ $queue }.dead” 中：由工作进程放入：{ $detail }。没有人会运行该任务。
stall-dead_lettered-by_worker-remedy = 请按工作进程所述修复，然后重新入队。死信队列中的副本届时已过时，可以删除。
stall-dead_lettered-unexplained = 该任务的消息在 “{ $queue }.dead” 中：未说明原因。没有人会运行该任务。
stall-dead_lettered-unexplained-remedy = 请在 RabbitMQ 中查看该消息，然后重新入队。

# 一个原因及其所有任务。

incident-unpublished-untried = { $stalled } 个任务已到期，其消息的发布尝试尚无一次结束。
incident-unpublished-untried-remedy = 请检查 “unstuck serve” 是否在运行并能连上代理。一旦连上，消息即会发出，不会丢失。
incident-unpublished-unreachable = 连不上代理 { $broker }：{ $stalled } 个任务的消息等待发布。
incident-unpublished-unreachable-remedy = 请修复代理或到代理的连接，之后消息会自动发出。
incident-unpublished-blocked = 代理 { $broker } 暂不接受发布：{ $stalled } 个任务的消息在等待。
incident-unpublished-blocked-remedy = 请释放代理的内存或磁盘空间，之后消息会自动发出。
incident-unpublished-nacked = 代理拒绝将消息存入 “{ $queue }”：{ $stalled } 个任务的消息在等待。
incident-unpublished-nacked-remedy = 请检查队列的长度上限和代理日志。消息会自动重试。
incident-unpublished-unroutable = 代理退回了 { $stalled } 个任务的消息：不存在队列 “{ $queue }”。
incident-unpublished-unroutable-remedy = 请声明该队列，或由 Unstuck 声明，之后消息会自动发出。
incident-unpublished-unconfirmed = 代理不确认发往 “{ $queue }” 的消息：{ $stalled } 个任务在等待。
incident-unpublished-unconfirmed-remedy = 请检查代理的负载与日志。消息会反复发送直到确认。如果其他队列都能确认，唯独此队列始终不确认（例如失去领导者的仲裁队列），请在 RabbitMQ 中删除它：它会自动重建。
incident-unpublished-refused = 代理拒绝我们向 “{ $queue }” 发布：{ $stalled } 个任务的消息在等待。
incident-unpublished-refused-remedy = 请授予代理用户写权限，之后消息会自动发出。
incident-unpublished-queue_mismatch = 队列 “{ $queue }” 的参数与 Unstuck 所需不同：{ $stalled } 个任务的消息在等待。
incident-unpublished-queue_mismatch-remedy = 请在队列为空时删除它以便重新声明，或在此处把类型改成与代理一致。

incident-worker_lost-recovering = 工作进程 “{ $worker }” 已消失。它留下的任务中，{ $stalled } 个等待接手，{ $moved_on } 个已继续，{ $ended } 个已结束。
incident-worker_lost-recovering-remedy = 请等待：空闲的工作进程会接手。若全都繁忙，请增加工作进程。
incident-worker_lost-no_taker = 工作进程 “{ $worker }” 已消失，且没有人消费其队列。它留下的任务中，{ $stalled } 个等待接手，{ $moved_on } 个已继续，{ $ended } 个已结束。
incident-worker_lost-no_taker-remedy = 请启动工作进程。
incident-worker_lost-taker_unknown = 工作进程 “{ $worker }” 已消失。它留下的任务中，{ $stalled } 个等待接手，{ $moved_on } 个已继续，{ $ended } 个已结束。是否有人能接手尚不可知。
incident-worker_lost-taker_unknown-remedy = 请检查工作进程是否在运行。
incident-worker_lost-unseen = 工作进程 “{ $worker }” 的租约已到期，代理也从未有过该名称的消费者。其任务中，{ $stalled } 个在等待，{ $moved_on } 个已继续，{ $ended } 个已结束。
incident-worker_lost-unseen-remedy = 请查看该工作进程。消息会自动再次发出供他人接手。

incident-worker_silent-recovering = 工作进程 “{ $worker }” 仍连接着代理，但已停止续租。其任务中，{ $stalled } 个等待接手，{ $moved_on } 个已继续，{ $ended } 个已结束。
incident-worker_silent-recovering-remedy = 若它的其他任务也都无响应，请重启它。其任务会由他人接手。
incident-worker_silent-no_taker = 工作进程 “{ $worker }” 仍连接着代理，但已停止续租，且没有其他人消费其队列。其任务中，{ $stalled } 个在等待，{ $moved_on } 个已继续，{ $ended } 个已结束。
incident-worker_silent-no_taker-remedy = 请启动工作进程，并重启无响应的那个。
incident-worker_silent-taker_unknown = 工作进程 “{ $worker }” 仍连接着代理，但已停止续租。其任务中，{ $stalled } 个在等待，{ $moved_on } 个已继续，{ $ended } 个已结束。是否有人能接手尚不可知。
incident-worker_silent-taker_unknown-remedy = 请检查其队列的工作进程，并重启无响应的那个。

incident-crash_loop-trying = “{ $queue }” 的任务反复失去工作进程。仍在重试：{ $stalled } 个；已结束或已重新授予次数：{ $ended } 个。
incident-crash_loop-trying-remedy = 请查看它们的共同点：内存、磁盘或程序崩溃。尝试次数用完后会自动停止。
incident-crash_loop-gave_up = “{ $queue }” 的任务反复失去工作进程并因此失败。显示 { $stalled } 个。
incident-crash_loop-gave_up-remedy = 请查看它们的共同点：内存、磁盘或程序崩溃。修复后再重试。
incident-cancel_ignored-plain = 工作进程 “{ $worker }” 仍在继续 { $stalled } 个已取消的任务。其间已结束 { $ended } 个。
incident-cancel_ignored-plain-remedy = 请结束这些程序，或重启工作进程。租约到期后任务会自动取消。
incident-double_run-plain = 工作进程 “{ $worker }” 在后续尝试开始之后，为已被放弃的尝试报告了成功。工作被做了两遍的任务：{ $stalled } 个。
incident-double_run-plain-remedy = 请检查这些尝试在外部写下了什么。该工作进程是否曾被冻结，或与数据库断开？
incident-ack_deadline-plain = 代理即将收回 “{ $queue }” 中 { $stalled } 个仍在运行的任务的投递。已继续 { $moved_on } 个，已结束 { $ended } 个。
incident-ack_deadline-plain-remedy = 请把该队列的消费者超时（策略键 consumer-timeout）调到高于最长的任务。否则代理会关闭工作进程的通道并再派发副本。
incident-dead_lettered-expired = 等待中的任务的消息在 “{ $queue }.dead” 中：超过了存活时间。任务 { $stalled } 个，已继续 { $moved_on } 个，已结束 { $ended } 个。
incident-dead_lettered-expired-remedy = 请去掉队列的存活时间（参数或策略），然后重新入队。
incident-dead_lettered-rejected = 等待中的任务的消息在 “{ $queue }.dead” 中：被某个消费者拒绝。任务 { $stalled } 个，已继续 { $moved_on } 个，已结束 { $ended } 个。
incident-dead_lettered-rejected-remedy = 请查明是哪个程序拒绝了该队列的消息：Unstuck 的工作进程从不这样做。然后重新入队。
incident-dead_lettered-overflowed = 等待中的任务的消息在 “{ $queue }.dead” 中：队列达到了长度上限。任务 { $stalled } 个，已继续 { $moved_on } 个，已结束 { $ended } 个。
incident-dead_lettered-overflowed-remedy = 请提高或去掉长度上限，或改为拒绝发布（overflow: reject-publish），然后重新入队。
incident-dead_lettered-delivery_limit = 等待中的任务的消息在 “{ $queue }.dead” 中：派发次数超过了队列的投递上限。任务 { $stalled } 个，已继续 { $moved_on } 个，已结束 { $ended } 个。
incident-dead_lettered-delivery_limit-remedy = 请查看它对工作进程做了什么，提高投递上限，然后重新入队。
incident-dead_lettered-by_worker = 等待中的任务的消息在 “{ $queue }.dead” 中：由工作进程放入：{ $detail }。任务 { $stalled } 个，已继续 { $moved_on } 个，已结束 { $ended } 个。
incident-dead_lettered-by_worker-remedy = 请按工作进程所述修复，然后重新入队。死信队列中的副本届时已过时，可以删除。
incident-dead_lettered-unexplained = 等待中的任务的消息在 “{ $queue }.dead” 中：未说明原因。任务 { $stalled } 个，已继续 { $moved_on } 个，已结束 { $ended } 个。
incident-dead_lettered-unexplained-remedy = 请在 RabbitMQ 中查看该消息，然后重新入队。
incident-message_lost-traced = 探针消息证明：“{ $queue }” 中等待的任务丢失了消息，尽管队列里还有其他消息。任务 { $stalled } 个，已继续 { $moved_on } 个，已结束 { $ended } 个。
incident-message_lost-traced-remedy = 请重新入队。队列是否被清空过，或者是否有程序未运行任务就确认了消息？
incident-no_consumers-plain = “{ $queue }” 中有 { $ready } 条消息在等待，已有 { $span } 无人消费。
incident-no_consumers-plain-remedy = 请为该队列启动工作进程。不要重新入队：消息都在。
incident-consumers_stuck-plain = “{ $queue }” 中有 { $ready } 条消息在等待。其 { $consumers } 个消费者持有 { $unacknowledged } 条，已有 { $span } 没有开始、续租或完成任何任务。
incident-consumers_stuck-plain-remedy = 请重启该队列的工作进程。它们持有的消息会重新派发。
incident-backlog-slow = “{ $queue }” 中有 { $ready } 条消息在等待。按目前速度，新任务要等 { $expected_wait }；该队列的目标是 { $threshold }。
incident-backlog-slow-remedy = 请增加工作进程。没有任务停滞。
incident-backlog-old = “{ $queue }” 中最早的任务已等了 { $oldest_wait }；该队列的目标是 { $threshold }。其工作进程都在忙。
incident-backlog-old-remedy = 请增加工作进程。没有任务停滞。
incident-ledger_short-part = 在 “{ $queue }” 中等待的 { $queued } 个任务里，至少 { $missing } 个没有消息：代理持有 { $ready } 条就绪、{ $unacknowledged } 条未确认，已持续 { $span }。
incident-ledger_short-part-remedy = 尚无法判断是哪些。请重新入队已标为丢失的任务；对消息仍在的任务重新入队也无害。
incident-ledger_short-all = 在 “{ $queue }” 中等待超过片刻的全部 { $queued } 个任务都已丢失消息：代理持有 { $ready } 条就绪、{ $unacknowledged } 条未确认，都不属于它们。
incident-ledger_short-all-remedy = 请重新入队。队列是否被清空，或设有长度上限或存活时间？
incident-ledger_over-plain = 代理在 “{ $queue }” 中持有的消息比任务多 { $surplus } 条：是旧副本，或他人的消息。
incident-ledger_over-plain-remedy = 无需处理：工作进程会丢弃它们。
incident-queue_missing-plain = 代理上没有队列 “{ $queue }”。{ $queued } 个任务等待的消息已随之消失；{ $running } 个正在运行。
incident-queue_missing-plain-remedy = 请重新声明队列，然后重新入队其任务。
incident-queue_mismatch-plain = 队列 “{ $queue }” 的设置可能导致消息丢失。现状（≠ Unstuck 的声明）：{ $detail }。
incident-queue_mismatch-plain-remedy = 若来自策略，请修改策略。参数无法更改：请让队列清空后在 RabbitMQ 中删除，它会自动重新声明。
incident-broker_alarm-alarm = 代理 { $broker } 发出告警，不接受发布：{ $detail }。
incident-broker_alarm-alarm-remedy = 请释放代理的内存或磁盘空间。已启动的任务会保留并在之后发布；消费照常进行。
incident-broker_alarm-blocked = 代理 { $broker } 阻塞了我们的发布连接：{ $detail }。
incident-broker_alarm-blocked-remedy = 请释放代理的内存或磁盘空间。已启动的任务会保留并在之后发布；消费照常进行。
incident-unknown-unreachable = 已有 { $blind } 连不上 { $broker } 的管理 API。队列中的情况不可知。
incident-unknown-unreachable-remedy = 请修复管理 API 或其地址（UNSTUCK_MANAGEMENT_URL）。在此之前，不对依赖代理数字的事项作判断。
incident-unknown-timed_out = { $broker } 的管理 API 已有 { $blind } 未及时应答。队列中的情况不可知。
incident-unknown-timed_out-remedy = 请检查代理的负载。在此之前，不对依赖其数字的事项作判断。
incident-unknown-refused = { $broker } 的管理 API 已有 { $blind } 拒绝我们登录。队列中的情况不可知。
incident-unknown-refused-remedy = 请给用户加上 “monitoring” 标签，或更正 UNSTUCK_MANAGEMENT_URL 中的凭据。
incident-unknown-failed = { $broker } 的管理 API 已有 { $blind } 以错误应答。队列中的情况不可知。
incident-unknown-failed-remedy = 请查看代理日志。在此之前，不对依赖其数字的事项作判断。
incident-unknown-statistics_off = 代理 { $broker } 已有 { $blind } 未收集统计：无法得知工作进程是否仍连接。消息数量仍可知。
incident-unknown-statistics_off-remedy = 请在 rabbitmq.conf 中将 management_agent.disable_metrics_collector 设为 false 并重启代理。
incident-unknown-absent = 代理已有 { $blind } 未给出 “{ $queue }” 的数字。其中的情况不可知。
incident-unknown-absent-remedy = 请在代理上查看该队列：它可能失去多数节点，或我们的用户缺少权限。

# 关闭原因。

closed-cleared = 所述情况已不复存在
closed-confirmed = 代理确认了消息
closed-claimed = 工作进程取走了任务
closed-taken_over = 另一次尝试已接手
closed-requeued = 任务已重新入队
closed-resent = 其消息已自动再次发出
closed-ended = 任务已结束
closed-beating_again = 工作进程已续租
closed-extended = 超时不再适用
closed-replaced = 另一项结论更贴切
closed-seen_again = 代理的数字恢复了
closed-settled = 其下已无任务
closed-forgotten = 该队列已不归我们管理
closed-past = 已显示一天

# 处理与不处理各自的后果。

consequence-unpublished = 等待不会丢失任何东西：消息保存在此，一旦可行即会发出。
consequence-message_lost = 重新入队之前，不会有人运行它。重新入队会取用下一个派发号：旧消息若仍出现，会被丢弃而不运行。
consequence-worker_lost = 该次尝试计为丢失，接手即为下一次尝试。丢失的尝试之后的报告会被拒绝，并保留在时间线上。
consequence-worker_silent = 重启会中断该工作进程正在运行的其他任务；每个任务都会作为下一次尝试重新派发。
consequence-overdue = 取消会彻底结束任务。若不处理，它会一直占用工作进程的一个位置。
consequence-crash_loop = 每次再尝试都可能拖垮另一个工作进程；尝试用完后任务即失败。
consequence-cancel_ignored = 结束之前，它会一直占用工作进程的一个位置。强行结束后，任务变为已取消。
consequence-double_run = 此处只计一个结果。两次尝试写到别处的内容可能重复。
consequence-dead_lettered = 重新入队之前，不会有人运行它。重新入队会取用下一个派发号：死信副本随即成为旧副本，若有人将其移回，会被丢弃。
consequence-ack_deadline = 超时一到，代理会关闭工作进程的信道并派发第二份副本。Unstuck 的工作进程会丢弃它们，其他消费者则可能运行。
consequence-no_consumers = 等待不会丢失任何东西，重新入队也无济于事。
consequence-consumers_stuck = 等待不会丢失任何东西，但也没有进展。重启后，正在运行的尝试计为丢失。
consequence-backlog = 任务等待更久，但不会丢失。
consequence-ledger_short = 没有消息的任务会永远等待。重新入队会取用下一个派发号：若旧消息其实还在，会被丢弃而不运行。
consequence-ledger_over = 旧副本会被丢弃而不运行，外来消息会转入死信。
consequence-queue_missing = 在此之前，该队列的任务都不会运行。新队列从空开始：消息不会随之回来。
consequence-queue_mismatch = 若保持原样，消息可能消失；其任务随后会显示为消息丢失。
consequence-broker_alarm = 等待不会丢失在此启动的任务，但新任务到不了工作进程。
consequence-unknown = 在数字恢复之前，依赖它们的情况既不会被发现，也不会被关闭：任务可能在无人察觉时停滞。
