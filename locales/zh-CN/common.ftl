# 页面框架、单位与多处使用的词语。
# 术语：task 任务，queue 队列，worker 工作进程，broker 消息代理，dispatch 派发，attempt 尝试，lease 租约，
# stall 停滞，incident 事件，ledger 对账，balance 差额，requeue 重新入队，retry 重试，cancel 取消，
# ready 就绪，unacknowledged 未确认，ticket 工单，report 问题报告，evidence 证据，verdict 判定，finding 发现。

skip-to-content = 跳到正文
language = 语言
theme = 配色
theme-system = 跟随系统
theme-light = 浅色
theme-dark = 深色

nav-label = 主导航
nav-overview = 总览
nav-stalls = 停滞
nav-tasks = 任务
nav-queues = 队列
nav-tickets = 工单
nav-rules = 规则
nav-audit = 审计
nav-count-stalls = 项未结
nav-count-tickets = 项待回复

links-label = 连接
link-database = 数据库
link-publisher = 发布
link-consumer = 消费
link-management = 代理数据
link-outbox = 发件箱
link-health-up = 正常
link-health-connecting = 连接中
link-health-blocked = 被阻塞
link-health-down = 断开
link-health-unknown = 未知
link-cause-unreachable = 该地址无响应。
link-cause-refused = 对方拒绝了我们的用户或密码。
link-cause-vhost_not_found = 虚拟主机不存在。
link-cause-protocol_error = 该地址的应答不符合预期。
link-cause-timed_out = 未在时限内应答。
link-cause-closed = 连接已断开，正在重新建立。
link-cause-alarm = 代理上有告警生效。
link-cause-full = 等待代理接收的消息已达上限：在代理恢复接收之前，新的启动请求会得到 503。已接受的任务不会丢失。
link-cause-unasked = 由本系统的另一进程统一查询，或本进程刚刚启动。

live-on = 实时
live-off = 未更新，数据截至 { $time }
live-held = 选中文字时暂停，数据截至 { $time }
live-gone = 已退出，数据截至 { $time }

account-menu = 账号与设置
sign-out = 退出登录
role-viewer = 查看者
role-operator = 操作员
role-admin = 管理员

unknown = 未知
none = 无
copy = 复制
copied = 已复制
pager-label = 分页
pager-first = 第一页
pager-next = 更早
reason-required = 原因（必填）
reason-optional = 原因

unit-ms = { $n } 毫秒
unit-s = { $n } 秒
unit-min = { $n } 分
unit-h = { $n } 小时
unit-d = { $n } 天

time-ago-second = { $n }秒前
time-ago-minute = { $n }分钟前
time-ago-hour = { $n }小时前
time-ago-day = { $n }天前
time-in-second = { $n }秒后
time-in-minute = { $n }分钟后
time-in-hour = { $n }小时后
time-in-day = { $n }天后
