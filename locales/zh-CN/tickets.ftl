# 问题报告与由此产生的工单。

ticket-status-new = 新建
ticket-status-open = 处理中
ticket-status-waiting = 等待报告人
ticket-status-resolved = 已解决
ticket-status-closed = 已关闭
