# 任务：状态、尝试与页面。

state-new = 新建
state-queued = 排队中
state-running = 运行中
state-succeeded = 成功
state-failed = 失败
state-cancelled = 已取消

outcome-running = 运行中
outcome-succeeded = 成功
outcome-failed = 失败
outcome-lost = 丢失
outcome-released = 已交还
outcome-superseded = 已被取代
outcome-cancelled = 已取消

# 列表。

tasks-title = 任务
tasks-none = 还没有任务
tasks-none-text = 程序通过 API 创建任务：POST /api/v1/tasks。
tasks-none-found = 没有符合条件的任务
tasks-none-found-text = 没有任务同时符合所选状态和筛选条件。请清除其中一项，或搜索编号的开头。
tasks-none-older = 没有更早的任务
tasks-none-older-text = 列表到此为止。原先在此的任务可能已超过保留期限而被删除。
tasks-none-wrong = 有筛选条件无法识别
tasks-none-wrong-text = 请更正上方标出的字段。

task-tabs-label = 按状态查看任务
task-tab-all = 全部
task-tab-unfinished = 未结束
task-tab-queued = 排队中
task-tab-running = 运行中
task-tab-failed = 失败
task-tab-succeeded = 成功
task-tab-cancelled = 已取消

task-filter-q = 搜索
task-filter-q-example = 编号或其开头、标题、类型、队列、所有者
task-filter-submit = 搜索
task-filter-clear = 全部清除
task-filter-more = 更多筛选
task-filter-created-after = 创建时间不早于（UTC）
task-filter-created-before = 创建时间早于（UTC）
task-filter-payload-path = 载荷字段
task-filter-payload-value = 等于
task-filter-too-long = 每个筛选条件最多 200 个字符。
task-filter-wrong-time = 请填写日期和时间，例如 2026-01-31T09:30，按 UTC 计。
task-filter-wrong-path = 请用点连接字段名，例如 order.id；可用字母、数字、_ 和 -。

task-task = 任务
task-state = 状态
task-since = 持续
task-since-waiting = 等待始于
task-since-due = 到期于
task-since-running = 运行始于
task-since-ended = 结束于
task-attempts = 尝试
task-attempts-of = { $n } / { $max }
task-owner = 所有者
task-created = 创建时间
task-kind = 类型
task-queue = 队列
task-progress = 进度

tick-column = 选择
tick-all = 选择本页全部
tick-task = 选择 { $id }
ticked = 已选：

action-retry = 重试
action-requeue = 重新入队
action-requeue-force = 强制重新入队
action-cancel = 取消
action-rerun = 再次运行
bulk-will-retry = 将所选任务中失败和已取消的再次运行。
bulk-will-requeue = 为所选任务中排队的，以及租约已到期的运行中任务，在队列中放入一条新消息。
bulk-will-cancel = 结束所选任务中尚未结束的；对运行中的任务，会要求其停止。

# 批量操作的结果。

outcome-title-retry = 重试：各任务的结果
outcome-title-requeue = 重新入队：各任务的结果
outcome-title-cancel = 取消：各任务的结果
outcome-title-rerun = 再次运行：各任务的结果
outcome-crumb = 结果
outcome-done = 已执行：{ $n }。
outcome-refused = 被拒绝：{ $n }。
outcome-gone = 期间已删除：{ $n }。
outcome-unclear = 对部分所选任务，数据库未及时应答：{ $n }。再次操作前请先查看它们；重复操作不会造成损害。
outcome-back = 返回列表
outcome-by = 操作人
outcome-reason = 原因
outcome-outcome = 结果
outcome-state-then = 当时状态
outcome-line-done = 已执行
outcome-line-refused = 被拒绝
outcome-deleted = 已删除的任务

# 操作被拒绝的原因。

refused-already_started = 任务处于“{ $state }”；只有新建的任务可以启动。
refused-old_dispatch = 该消息是旧副本：任务之后已重新派发。
refused-ahead_of_database = 该消息比数据库所知的更新。
refused-never_started = 任务从未启动。
refused-not_due = 任务尚未到期。
refused-owned_elsewhere = 第 { $attempt } 次尝试拥有该任务，且其租约有效。
refused-already_ended = 任务已经结束：{ $state }。
refused-no_attempts_left = 尝试次数已用完。
refused-cancel_requested = 已请求取消；任务处于“{ $state }”。
refused-not_current_attempt = 该次尝试已关闭：任务处于“{ $state }”，最新一次是第 { $attempt } 次尝试。
refused-not_retryable = 任务处于“{ $state }”；只有失败和已取消的任务可以重试。
refused-not_succeeded = 任务处于“{ $state }”；只有成功的任务可以再次运行。
refused-not_requeueable = 任务处于“{ $state }”；只有排队中和运行中的任务可以重新入队。
refused-lease_alive = 第 { $attempt } 次尝试仍然存活。只有在任务页面上强制重新入队，才能取走该任务。
refused-moved_on = 页面打开之后，它已有变化（他人操作，或按了两次）。请重新查看。
refused-nothing_to_recover = 其租约有效，或消息刚刚已再次发出。
refused-nothing_to_resend = 它的状态为{ $state }，其消息并未丢失，或刚刚再次发出过。

# 单个任务。

task-now = 当前情况
task-actions = 可执行的操作
task-actions-none = 目前没有：已请求取消。工作进程会结束它，或在租约到期时结束。
task-facts = 基本信息
task-report = 报告此任务的问题
task-created-by = 由 { $who }
task-finished = 结束时间
task-dispatch = 派发
task-dispatch-is = 放入队列的次数
task-timeout = 超时
task-timeout-none = 无
task-priority = 优先级
task-timeline = 时间线
task-timeline-older = 更早的记录
task-attempts-none = 尚无工作进程取走该任务。
task-attempts-older = 更早的尝试
task-closed-stalls = 已结束的停滞
task-payload = 载荷
task-result = 结果
document-cut = 此处只显示开头，完整内容见文件。
document-download = 下载

now-new = 已记录但未启动：其程序尚未要求运行。
now-scheduled = 届时将放入“{ $queue }”：
now-queued = 正在“{ $queue }”中等待工作进程，始于
now-confirmed = 代理已确认存储其消息：
now-unconfirmed = 代理尚未确认其消息；会一直发送直到确认。
now-last-error = 上一次尝试失败：
now-running = 第 { $attempt } 次尝试正在工作进程 { $worker } 上运行，始于
now-cancelling = 已请求取消：
now-alive = 最近一次心跳：
now-lapsed = 工作进程已停止续租，租约到期于
now-succeeded = 成功：
now-failed = 第 { $n } 次尝试后最终失败：
now-cancelled = 已取消：
usual-run = 类型“{ $kind }”的任务通常运行 { $p50 }，99% 在 { $p99 } 内结束（最近七天成功运行 { $n } 次）。本次已运行 { $run }。
usual-unknown = 类型“{ $kind }”的任务通常运行多久尚无法判断：最近七天成功 { $n } 次，至少需要 { $needed } 次。
usual-held-to-timeout = 超过其超时 { $limit } 后视为超时。
usual-held-to-kind = 未设置超时：按该类型的通常时长，超过 { $limit } 后视为超时。
usual-held-to-nothing = 未设置超时，因此不会被视为超时。
usual-held-to-nothing-yet = 未设置超时，也不会被视为超时：它开始时，对该类型的观察还不够久。

delivery-held-for = 按该队列的消费者超时 { $timeout }，除非在此之前确认，代理最迟在 { $left } 后收回此投递：
delivery-held-too-long = 该队列的消费者超时 { $timeout } 已过：代理会在下次检查时（一分钟内）收回此投递，或已经收回。到期于
delivery-never-taken = 该队列不会因持有过久而收回投递。
delivery-not-held = 其消息已经确认：代理没有可收回的投递。
delivery-deadline-undescribed = 代理何时收回此投递尚不可知：管理 API 尚未描述该队列。
delivery-deadline-untold = 代理何时收回此投递尚不可知：代理没有给出该队列的设置或自身版本。
delivery-deadline-old_broker = 代理何时收回此投递尚不可知：RabbitMQ { $version } 不公开其消费者超时（未改动时为 30 分钟）。从 3.12 起队列可以有自己的超时，并且会公开。
delivery-deadline-of_node = 代理何时收回此投递尚不可知：该队列没有自己的消费者超时，而 RabbitMQ 不公开节点的超时（未改动时为 30 分钟）。
delivery-limited = 这至少是其消息的第 { $n } 次投递；满 { $most } 次后，队列会放弃该消息。
delivery-unlimited = 该队列不限制消息的投递次数。
delivery-budget-undescribed = 队列最多投递一条消息多少次，同样不可知。
delivery-budget-untold = 队列最多投递一条消息多少次尚不可知：代理没有给出其设置或自身版本。
delivery-read = 设置读取于

task-will-retry = 作为第 { $dispatch } 次派发再次放入“{ $queue }”，并重新给予 { $max } 次尝试。错误保留在历史中。
task-will-requeue-queued = 作为第 { $dispatch } 次派发在“{ $queue }”中放入一条新消息。若旧消息出现，工作进程会丢弃它：任务只运行一次。
task-will-requeue-lost = 将第 { $attempt } 次尝试关闭为“丢失”，并作为第 { $dispatch } 次派发在“{ $queue }”中放入一条新消息。若旧工作进程恢复，其结果会被拒绝。
task-will-requeue-alive = 第 { $attempt } 次尝试仍然存活：最近一次心跳在 { $beat }前。强制执行后，其结果会被拒绝，下一次尝试在其租约到期时开始（{ $lease }后）。在此之前其程序可能继续运行。
task-will-cancel-waiting = 立即结束任务。若工作进程收到其消息，会将其丢弃。
task-will-cancel-running = 要求工作进程在下一次心跳时停止第 { $attempt } 次尝试。若未停止，任务在租约到期时结束。
task-will-cancel-lost = 结束任务：第 { $attempt } 次尝试的租约已无人续期。
task-will-rerun = 作为第 { $dispatch } 次派发，将已成功的任务再次运行。其结果会被清除，它对外部的影响可能发生两次。

attempt-number = 第 { $n } 次尝试
attempt-worker = 工作进程
attempt-started = 开始
attempt-ended = 结束
attempt-error = 错误
attempt-log = 日志末尾
attempt-log-none = 没有留下日志。
attempt-late = 该次尝试在关闭之后又报告了内容。报告已保留，但未生效：

# 发生了什么。

event-created = 已记录
event-started = 已启动：作为第 { $dispatch } 次派发放入队列
event-confirmed = 代理确认了第 { $dispatch } 次派发的消息
event-claimed = 工作进程 { $worker } 取走任务：第 { $attempt } 次尝试
event-taken_over = 工作进程 { $worker } 接手任务：第 { $attempt } 次尝试
event-attempt_lost = 第 { $attempt } 次尝试已丢失：工作进程 { $worker } 停止续租
event-resent = 第 { $dispatch } 次派发的消息已再次发出：工作进程 { $worker } 停止续租
event-republished = 第 { $dispatch } 次派发的消息已自动再次发出：代理中已没有该消息
event-resent-often = 第 { $dispatch } 次派发的消息已再次发出 { $n } 次，首次于 { $from }：工作进程 { $worker } 停止续租
event-retry_scheduled = 第 { $attempt } 次尝试失败；作为第 { $dispatch } 次派发再次放入队列
event-released = 工作进程交还了任务；第 { $attempt } 次尝试不计入次数
event-requeued = 已重新入队，为第 { $dispatch } 次派发
event-retried = 已重试，为第 { $dispatch } 次派发
event-rerun = 再次运行，为第 { $dispatch } 次派发
event-cancel_requested = 已请求取消：工作进程将在下一次心跳时停止
event-cancelled = 已取消
event-cancelled-running = 已取消；第 { $attempt } 次尝试已结束
event-succeeded = 第 { $attempt } 次尝试成功
event-failed = 第 { $attempt } 次尝试失败，不再继续
event-later-started = 已启动：第 { $dispatch } 次派发到期于 { $due }
event-later-retry_scheduled = 第 { $attempt } 次尝试失败；下一次到期于 { $due }
event-later-requeued = 已强制重新入队，为第 { $dispatch } 次派发，在第 { $attempt } 次尝试的租约到期时生效：{ $due }
event-late-succeeded = 第 { $attempt } 次尝试在关闭之后报告成功
event-late-failed = 第 { $attempt } 次尝试在关闭之后报告失败
event-late-released = 第 { $attempt } 次尝试在关闭之后交还任务
event-not-applied = 迟到，未生效

flash-nothing-ticked = 请先选择至少一个任务。
flash-reason-needed = 未执行任何操作：请填写原因，最多 500 个字符。
flash-moved-on = 未执行任何操作：在你查看期间，有人已重新派发该任务（第 { $dispatch } 次派发）。请查看当前情况。
flash-refused = 未执行任何操作。{ $why }
flash-requeued = 已重新入队，为第 { $dispatch } 次派发。
flash-retried = 已再次放入队列，为第 { $dispatch } 次派发。
flash-cancelled = 已取消。
flash-cancel-asked = 已要求工作进程停止。
flash-cancel-asked-before = 之前已要求工作进程停止；没有变化。
