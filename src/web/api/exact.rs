//! What the OpenAPI document says of every call alike, and utoipa can't derive: so that a generated client sends nothing
//! that would be refused for its form.

use utoipa::openapi::{
    OpenApi, RefOr, Schema,
    path::{Operation, Parameter, ParameterIn},
    schema::Object,
};

use super::query::VALUE_CHARS;

/// Tells the bounds of every parameter, and that an optional body is left out and never `null`.
pub(super) fn tell_bounds(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.put]
            .into_iter()
            .flatten()
        {
            bound_parameters(operation);
            leave_out_null(operation);
        }
    }
}

fn bound_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else {
            continue;
        };
        let key = parameter.name == "Idempotency-Key";
        let Some(text) = plain_text(parameter) else {
            continue;
        };
        text.min_length.get_or_insert(1);
        text.max_length.get_or_insert(if key {
            super::create::KEY_CHARS
        } else {
            VALUE_CHARS
        });
        if key {
            text.pattern = Some("^[!-~]{1,255}$".to_owned());
        }
    }
}

/// The schema of a parameter in a query or header that is any text.
fn plain_text(parameter: &mut Parameter) -> Option<&mut Object> {
    if !matches!(parameter.parameter_in, ParameterIn::Query | ParameterIn::Header) {
        return None;
    }
    match parameter.schema.as_mut()? {
        RefOr::T(Schema::Object(object)) => {
            let kind = serde_json::to_value(&object.schema_type).ok()?;
            let text = kind == "string"
                || kind
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one == "string"));
            (text && object.format.is_none() && object.enum_values.is_none()).then_some(object)
        }
        _ => None,
    }
}

/// utoipa tells a body that may be missing as one that may be `null`.
fn leave_out_null(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return;
    };
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else {
            continue;
        };
        let Some(RefOr::T(Schema::OneOf(either))) = &content.schema else {
            continue;
        };
        let some = either.items.iter().find(|item| matches!(item, RefOr::Ref(_)));
        if let (Some(some), 2) = (some.cloned(), either.items.len()) {
            content.schema = Some(some);
        }
    }
}
