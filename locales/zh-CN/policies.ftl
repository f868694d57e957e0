# 对队列的检测结果自动采取的处理。

policies-title = 自动处理
policies-lead = Unstuck 对此队列的检测结果自行采取的处理。重新发出的是同一条消息：万一工作进程其实已有原消息，副本也不会造成影响。每次处理都记入审计日志。

policy-does-show_only = 不自动处理：仅显示检测结果。
policy-does-when_proven = 已证实丢失的消息会自动再次发出。
policy-does-when_likely = 已证实或很可能丢失的消息会自动再次发出。
policy-done = { $n ->
    [0] 本小时内没有再次发出任何消息。
   *[other] 本小时内已再次发出 { $n } 个任务的消息。
  }
policy-last = 最近一次
policy-stopped = 已停止：{ $open } 个未结束任务中有 { $would } 个将被再次发出，数量过多，不宜在无人察看时进行。请先查明消息的去向并将任务重新入队，再让策略继续。
policy-stopped-on = 队列“{ $queue }”的自动处理已停止：{ $open } 个未结束任务中有 { $would } 个将被再次发出，数量过多，不宜在无人察看时进行。
policy-see = 查看队列
policy-go-on = 让其继续
policy-go-on-text = 检测器下次检查时即恢复处理。若丢失的任务仍与之前一样多，它会再次停止：请先将这些任务重新入队，或调高允许的比例。
policy-change = 更改
policy-change-text = 当将被再次发出的任务同时超过下列比例和数量时，策略会自行停止。计入的有：已检出的任务（若缺口更大则取缺口），以及本小时内已处理的任务。
policy-action = 再次发出丢失的消息
policy-action-show_only = 从不
policy-action-when_proven = 已证实时
policy-action-when_likely = 已证实或很可能时
policy-number-per_minute = 每分钟最多任务数
policy-number-breaker_percent = 超过未结束任务的这一百分比即停止
policy-number-breaker_tasks = 不超过此任务数时从不停止

flash-policy-set = 策略已更改。
flash-policy-goes-on = 策略已继续。
flash-policy-moved-on = 未做任何更改：您查看期间有人更改了此策略。请查看最新情况。
flash-policy-not-stopped = 未做任何更改：该策略并未停止。
flash-policy-bounds = 未做任何更改：有数值超出范围。
