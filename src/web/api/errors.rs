//! The errors of the API as the OpenAPI document tells them. `web::error` writes them.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, ToSchema,
    openapi::{Components, Content, Ref, RefOr, ResponseBuilder, response::Response},
};

/// An error, as RFC 9457 describes them, sent as `application/problem+json`. A program branches on `status` and, for
/// refusals, on `code`.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "only its schema is used: web::error writes the document")]
pub(super) struct ProblemJson {
    /// `urn:unstuck:problem:` and the kind of problem.
    #[schema(example = "urn:unstuck:problem:conflict")]
    r#type: String,
    title: String,
    status: u16,
    /// One sentence about this very request.
    detail: String,
    /// The path that was asked for.
    instance: String,
    /// Names this request in the log.
    request_id: String,
    /// 422: every field that is wrong.
    errors: Option<Vec<ProblemField>>,
    /// 403: the scope that the token lacks.
    scope: Option<String>,
    /// 409: why the guard refused, as a word.
    #[schema(example = "lease_alive")]
    code: Option<String>,
    /// 409: the task's state now.
    #[schema(example = "running")]
    state: Option<String>,
    /// 409: the task's newest attempt.
    attempt: Option<i64>,
    /// 409: the task's dispatch.
    dispatch: Option<i64>,
    /// 409 of a claim: `ack` or `dead_letter`, which is what the worker does with the message.
    #[schema(example = "ack")]
    action: Option<String>,
    /// 409 of a claim: why, one sentence.
    reason: Option<String>,
}

/// A wrong field of a request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: web::error writes the document")]
pub(super) struct ProblemField {
    /// Its name as sent; a path such as `tasks[3].kind` in a batch.
    #[schema(example = "priority")]
    field: String,
    /// What would be right.
    #[schema(example = "must be a whole number from 0 to 9")]
    detail: String,
}

macro_rules! responses {
    ($($name:ident = $status:literal, $description:literal;)+) => {
        $(
            pub(super) enum $name {}
            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let shared = Ref::new(concat!("#/components/responses/", stringify!($name)));
                    BTreeMap::from([($status.to_owned(), RefOr::Ref(shared))])
                }
            }
        )+

        /// Adds what the names above stand for.
        pub(super) fn add_to(components: &mut Components) {
            $(components.responses.insert(stringify!($name).to_owned(), RefOr::T(problem($description)));)+
        }
    };
}
responses! {
    BadRequest = "400", "Malformed: no JSON object, a key twice, an unknown field or parameter.";
    Unauthenticated = "401", "No token, or one that is unknown, expired or revoked.";
    Forbidden = "403", "The token has not the scope; `scope` names it.";
    NotFound = "404", "There is no such thing.";
    Conflict = "409", "The guard refused: `code` and `state` say why. Nothing was done.";
    RefusedClaim = "409", "Do not run the task. `action` says what to do with the message: `ack` or `dead_letter`.";
    TooLarge = "413", "The body is too large; `detail` names the limit.";
    MediaType = "415", "The body is not `application/json`, or it is compressed.";
    Invalid = "422", "Values are wrong: `errors` names each field and what would be right.";
    TooMany = "429", "Too many of these in a short time: try again after `Retry-After`.";
    Unavailable = "503", "The database does not answer, and nothing is known to have happened; or `code` is `outbox_full`: so many messages wait \
        for the broker that nothing was started. Try again after `Retry-After`.";
}

fn problem(description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build()
}
