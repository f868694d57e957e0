# The page about the API. The calls themselves are described in English everywhere, as in the OpenAPI document.

api-title = API
api-lead = Every call, as this version answers it. Set UNSTUCK to this site’s address and TOKEN to a token.
api-openapi = OpenAPI document
api-calls = Calls
api-scopes = Needs a token with one of the scopes:
api-open = Needs no token.
api-parameters = Parameters
api-body = Body
api-answers = Answers
api-example = Example
api-schemas = Schemas
api-required = required
api-no-fields = It has no fields.
