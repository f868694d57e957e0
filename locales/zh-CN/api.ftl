# API 页面。各调用的说明与 OpenAPI 文档相同，均为英文。

api-title = API
api-lead = 本版本的全部调用，说明文字为英文。请将 UNSTUCK 设为本站地址，将 TOKEN 设为令牌。
api-openapi = OpenAPI 文档
api-calls = 调用
api-scopes = 令牌需具备以下权限范围之一：
api-open = 无需令牌。
api-parameters = 参数
api-body = 请求正文
api-answers = 响应
api-example = 示例
api-schemas = 数据结构
api-required = 必填
api-no-fields = 没有字段。
