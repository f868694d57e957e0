# 检测结果：名称、说明、证据与处理办法。

verdict-unpublished = 未发布
verdict-message_lost = 消息丢失
verdict-worker_lost = 工作进程丢失
verdict-worker_silent = 工作进程无响应
verdict-overdue = 超时
verdict-no_consumers = 无消费者
verdict-consumers_stuck = 消费者卡住
verdict-backlog = 积压
verdict-ledger_short = 对账短缺
verdict-ledger_over = 对账多出
verdict-queue_missing = 队列不存在
verdict-broker_alarm = 代理告警
verdict-unknown = 未知

confidence-proven = 已证实
confidence-likely = 很可能

health-ok = 正常
health-warning = 警告
health-stalled = 停滞
health-unknown = 未知
