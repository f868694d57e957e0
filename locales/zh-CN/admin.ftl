# 审计日志。

audit-title = 审计
audit-lead = 谁在何时、因何做了什么。此日志从不更改或删除。
audit-what = 操作
audit-outcome = 结果
audit-actor = 操作人
audit-actor-example = 邮箱，或 token:名称
audit-action = 操作
audit-action-any = 不限
audit-target-id = 操作对象
audit-reason = 原因
audit-when = 时间
audit-details = 详情
audit-address = 地址
audit-request = 请求
audit-before = 之前
audit-after = 之后
audit-none = 还没有任何操作
audit-none-text = 人员和程序的每次操作以及每次登录都会记录在此。
audit-none-found = 没有符合条件的记录
audit-none-found-text = 没有符合这些筛选条件的记录。邮箱、编号和请求须完整填写。

actor-user = 人员
actor-token = 程序
actor-worker = 工作进程
actor-system = Unstuck 自身

audit-action-retry = 重试
audit-action-requeue = 重新入队
audit-action-cancel = 取消
audit-action-rerun = 再次运行
audit-action-start = 启动
audit-action-login = 登录
audit-action-logout = 退出登录
audit-action-user_add = 添加人员
audit-action-user_disable = 停用人员
audit-action-user_reset_password = 重置密码
audit-action-token_create = 创建令牌
audit-action-token_revoke = 撤销令牌
audit-target-task = 任务
audit-target-user = 人员
audit-target-token = 令牌
audit-target-ticket = 工单
