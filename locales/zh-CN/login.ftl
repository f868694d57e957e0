# 登录页与公开首页。

login-title = 登录
login-email = 电子邮箱
login-password = 密码
login-submit = 登录
login-wrong = 电子邮箱或密码不正确。
login-too-many = 尝试次数过多。请在 { $n } 秒后重试。
login-busy = 此刻登录的人过多，请几秒后重试。
login-needs-https = 密码正确，但浏览器无法保存会话 Cookie：本站配置为使用 HTTPS（PUBLIC_URL），而你是通过普通 HTTP 访问的。请在其 HTTPS 地址登录：
login-cookie-lost = 密码正确，但浏览器没有保存会话 Cookie。请允许本站使用 Cookie，然后重新登录。
login-forgotten = 忘记密码？
login-forgotten-text = 请站点管理者在服务器上生成新密码并转交给你：
login-forgotten-example = you@example.org
flash-signed-out = 你已退出登录。
home-title = 任务求助
home-heading = 任务卡住了？告诉我们。
home-lead = 报告任务遇到的问题，并跟进处理结果。
home-report = 报告问题
home-report-text = 说说发生了什么。有任务编号更好，没有也可以。你会得到一个编号和查看答复的私密链接。
home-report-button = 报告问题
home-follow = 跟进报告
home-follow-text = 输入你得到的编号和密钥，或直接打开你的私密链接。
home-follow-ref = 编号
home-follow-key = 密钥
home-follow-button = 查看报告
home-to-login = 工作人员登录
home-to-admin = 前往总览

account-title = 账号
account-sessions = 登录位置
account-end-others = 退出其他所有会话
account-browser = 浏览器
account-address = 地址
account-since = 登录于
account-seen = 最近活动
account-this = 当前会话
account-password = 修改密码
account-password-text = 修改后，你将在所有位置退出登录，需要用新密码重新登录。
account-present = 当前密码
account-new = 新密码
account-new-hint = 至少 15 个字符。几个好记的词语胜过各种符号。
account-change = 修改密码
account-wrong = 当前密码不正确。
password-short = 请至少使用 { $n } 个字符。
password-long = 最多 1,024 字节。
password-guessable = 这个密码很容易被首先猜到，请换一个。
flash-password-changed = 密码已修改。请用新密码登录。
flash-logged-out-elsewhere = { $n ->
    [0] 没有其他会话。
   *[other] 已结束其他 { $n } 个会话。
}
