# `unstuck doctor` 的说明，每个词对应一个键。

doctor-database_up = { $engine } 可以访问，且已是最新版本。
doctor-database_absent = SQLite 文件尚不存在；“unstuck serve”首次启动时会创建它。
doctor-database_behind = { $engine } 还缺少 { $count } 个迁移；“unstuck serve”启动时会应用它们。
doctor-database_newer = { $engine } 含有本程序不认识的迁移 { $migration }。请运行更新版本的程序，或恢复该迁移之前的备份。
doctor-database_down = 数据库无法使用：{ $detail }。
doctor-clock_ahead = 本机时钟被调整过：它比计量租约和计划时间所用的时钟快 { $span }。没有未完成的任务时后者会立即跟上，否则缓慢跟上，使运行中的任务不会失去租约。
doctor-clock_behind = 本机时钟被调整过：它比计量租约和计划时间所用的时钟慢 { $span }。没有未完成的任务时后者会立即跟上，否则缓慢跟上，使租约不会过长。
doctor-amqp_up = 已连接到 { $address }。
doctor-amqp_silent = { $address } 接受或吞掉了连接，却没有及时应答。消息代理是否已冻结，或中间有防火墙？
doctor-amqp_unreachable = 无法访问 { $address }：{ $detail }。请检查 UNSTUCK_AMQP_URL 中的地址，并确认消息代理正在运行。
doctor-amqp_refused = { $address } 拒绝了 UNSTUCK_AMQP_URL 中的用户或密码，或该用户无权使用此虚拟主机：{ $detail }。
doctor-amqp_no_vhost = { $address } 的虚拟主机不存在：{ $detail }。
doctor-amqp_no_amqp = { $address } 上应答的程序不使用 AMQP 0-9-1：{ $detail }。这是管理端口，还是缺少 amqps:// 的 TLS 端口？
doctor-amqp_guest = 正在通过网络使用“guest”用户，其密码众所周知。请创建专用用户（docs/operations.md 中有权限最小的用户示例）。
doctor-management_up = RabbitMQ { $version } 在 { $address } 应答。
doctor-management_unreachable = { $address } 没有应答：{ $detail }。没有它，所有消息代理数字都未知，也无法发现丢失的消息。
doctor-management_refused = { $address } 拒绝了该用户：{ $detail }。该用户需要“monitoring”标签。
doctor-management_strange = { $address } 的应答不像 RabbitMQ 管理 API：{ $detail }。请检查 UNSTUCK_MANAGEMENT_URL。
doctor-statistics_off = 消息代理不保留统计信息。就绪和未确认数仍可读取；消费者、速率和工作进程是否在线则未知。
doctor-broker_old = { $address } 上的 RabbitMQ { $version } 早于 3.10，即 Unstuck 测试过的最旧版本。
doctor-alarm = { $node } 上的 { $resource } 告警正在生效：解除之前消息代理不接受发布。
doctor-queue_fine = 声明正确（{ $type }）。
doctor-queue_absent = 尚未声明。下一个使用它的任务或工作进程会声明它。
doctor-queue_unread = 无法读取其设置：{ $detail }。
doctor-queue_unknown = 由于管理 API 没有应答，未作检查。
doctor-queue_unsettled = 消息代理没有列出其设置。请一分钟后再试；刚声明队列或重启之后这些设置会暂缺。
doctor-not_durable = 它不是持久队列：消息代理重启时会连同消息一起丢失。请排空并删除它；它会被重新声明。
doctor-auto_delete = 最后一个消费者离开时它会连同消息一起自动删除。请排空并删除它；它会被重新声明。
doctor-exclusive = 它属于某一个连接，并随该连接消失。请删除它；它会被重新声明。
doctor-stream = 它是一个流，消息永远不会离开。请使用另一个队列。
doctor-other_type = 其类型为 { $actual }，而不是 { $expected }。这可以工作；如需重新声明，请排空并删除它。
doctor-no_dead_letter = 它没有死信目标：消息代理放弃的消息（投递上限、拒绝）会无痕丢弃。
doctor-other_dead_letter = 其死信经由交换机 { $actual }；Unstuck 在那里看不到它们。
doctor-dead_letter_elsewhere = 其死信发往 { $actual }，而不是 { $expected }；Unstuck 在那里看不到它们。
doctor-ttl = 其消息在 { $actual } 毫秒后过期：等待中的任务会丢失消息。
doctor-expires = 队列本身在无消费者 { $actual } 毫秒后连同消息一起过期。
doctor-drop_head = 它有限制（{ $argument } = { $actual }），满时会丢弃最旧的消息。
doctor-reject_publish = 它有限制（{ $argument } = { $actual }），满时拒绝发布：启动的任务会以“未发布”等待。
doctor-delivery_limit = 消息代理在投递 { $actual } 次后放弃消息，可能早于任务的尝试次数用完（Unstuck 声明的是 { $expected }）。
doctor-ack_timeout = 消息代理在 { $timeout } 后收回投递，而 100 次“{ $kind }”运行中有 99 次最多需要 { $p99 }：更长的运行会在进行中被再次投递。
doctor-no_priority = 它支持的优先级上限为 { $actual }，而不是 { $expected }。任务照常运行；更高的优先级不会先执行。
doctor-other_argument = { $argument } 为 { $actual }，而不是 { $expected }。
doctor-no_dead_queue = 其死信队列 { $dead } 不存在：消息代理放弃的消息会被丢弃。下一个在其上启动的任务会声明它。
doctor-hoarding = 消费者 { $consumer } 预取{ $prefetch ->
        [0] 全部消息
       *[other] { $prefetch } 条消息
    }：其他消费者只能空等。请在该消费者中设置较小的预取值。
doctor-one_member = 在有 { $nodes } 个节点的集群中，此仲裁队列只有一个成员：该节点一旦失效，队列也随之失效。
doctor-never_times_out = 从 RabbitMQ 4.3 起，消息代理不会收回经典队列中挂起消费者的投递。Unstuck 的租约仍能发现它。

doctor-mend = 处理：
doctor-healthy = 一切正常。
doctor-trouble = 有 { $count } 处问题。
doctor-advice = 没有问题；请参阅上面的建议。
grade-ok = 正常
grade-advice = 建议
grade-wrong = 错误
