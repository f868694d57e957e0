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
